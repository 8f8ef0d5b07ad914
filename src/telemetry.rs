//! What the agent tells about itself: logs, metrics, the page that shows them, and words to systemd.

pub mod histogram;
pub mod http;
pub mod logs;
pub mod metrics;
pub mod systemd;
