//! Logging: one line per event on stderr, for journald, a terminal, or a collector that wants JSON.

use std::{fmt, io::IsTerminal, sync::OnceLock};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Full, Writer},
    },
    layer::SubscriberExt,
    registry::LookupSpan,
    reload,
    util::SubscriberInitExt,
};

use crate::config::LogFormat;

static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Starts logging; RUST_LOG, where set, says more exactly what is wanted than `debug` does.
pub fn start(debug: bool, format: LogFormat) {
    let (filter, handle) = reload::Layer::new(filter(debug));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let in_journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let lines = match format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Text if in_journal => lines.with_ansi(false).event_format(Journal::default()).boxed(),
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).init();
    // It is started once.
    let _ = FILTER.set(handle);
}

/// Whether debug lines are logged from now on.
pub fn set_debug(debug: bool) {
    if let Some(handle) = FILTER.get() {
        // Only a subscriber that is gone fails.
        let _ = handle.reload(filter(debug));
    }
}

fn filter(debug: bool) -> EnvFilter {
    let level = if debug { "debug" } else { "info" };
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level))
}

/// Lines for journald: their priority in front (sd-daemon(3)), and no time, which the journal has itself.
struct Journal {
    line: Format<Full, ()>,
}

impl Default for Journal {
    fn default() -> Self {
        Self { line: Format::default().without_time().with_level(false).with_ansi(false) }
    }
}

impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        };
        write!(writer, "<{priority}>")?;
        self.line.format_event(context, writer, event)
    }
}
