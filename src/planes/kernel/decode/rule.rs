//! What messages about rules of the routing policy database tell.

use super::{Event, ip, split, word};
use crate::{
    model::Prefix,
    planes::kernel::{
        object::Rule,
        uapi::*,
        wire::{Malformed, Message, attributes},
    },
};

/// `struct fib_rule_hdr`: family, destination length, source length, tos, table, two reserved bytes, action, flags (4).
/// Of interest are rules that have a destination and no other selector: a rule with one more is somebody else's.
pub(super) fn event(message: &Message<'_>) -> Result<Option<Event>, Malformed> {
    let (head, body) = split::<12>(message)?;
    let [family, length, source, tos, table, _, _, action, ..] = *head;
    let plain =
        source == 0 && tos == 0 && action == FR_ACT_TO_TBL && word(&head[8..])? & FIB_RULE_INVERT == 0;
    if !plain || !matches!(family, AF_INET | AF_INET6) {
        return Ok(None);
    }
    let (mut table, mut to, mut priority, mut protocol) = (u32::from(table), None, 0, RTPROT_UNSPEC);
    for attribute in attributes(body) {
        match attribute? {
            (FRA_TABLE, value) => table = word(value)?,
            (FRA_DST, value) => to = Some(ip(value)?),
            (FRA_PRIORITY, value) => priority = word(value)?,
            (FRA_PROTOCOL, [value]) => protocol = *value,
            // Told of every rule: -1 where it suppresses nothing (`fib_nl_fill_rule` in net/core/fib_rules.c).
            (FRA_SUPPRESS_PREFIXLEN, value) if word(value)? == u32::MAX => {}
            _ => return Ok(None),
        }
    }
    let Some(to) = to else { return Ok(None) };
    let to = Prefix::new(to, length).map_err(|_| Malformed("a prefix length"))?;
    let rule = Rule { to, table, priority };
    Ok(Some(match message.kind {
        RTM_NEWRULE => Event::Rule(rule, protocol),
        _ => Event::RuleGone(rule, protocol),
    }))
}
