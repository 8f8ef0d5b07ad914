//! Questions to the kernel over a netlink socket of our own: dumps, and nothing else.

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use crate::planes::kernel::{
    decode::Event,
    dump::{Question, Unread},
    uapi::{NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR},
    wire::{Message, Writer, attributes, messages, number},
};

/// RTM_GETRULE (include/uapi/linux/rtnetlink.h).
const RTM_GETRULE: u16 = 34;
/// RTM_NEWRULE.
const RTM_NEWRULE: u16 = 32;
/// FRA_TABLE (include/uapi/linux/fib_rules.h).
const FRA_TABLE: u16 = 15;

/// How often an answer that changed while it was told is asked for again.
const TRIES: usize = 5;

/// What the kernel has of this sort.
///
/// # Errors
/// The kernel does not answer, in words.
pub fn ask(question: Question) -> Result<Vec<Event>, String> {
    let mut writer = Writer::default();
    question.write(1, &mut writer);
    let request = writer.take_bytes();
    let mut answer = Err(Unread::Interrupted);
    for _ in 0..TRIES {
        answer = question.read(1, &exchange(&request)?);
        if !matches!(answer, Err(Unread::Interrupted)) {
            break;
        }
    }
    answer.map_err(|error| format!("{question:?}: {error}"))
}

/// The tables that rules name (`ip rule`), of both families.
///
/// # Errors
/// The kernel does not answer, in words.
pub fn tables_of_rules() -> Result<Vec<u32>, String> {
    let mut writer = Writer::default();
    // `struct fib_rule_hdr`, all of it zero: every family.
    writer.message(RTM_GETRULE, NLM_F_REQUEST | NLM_F_DUMP, 1, |w| w.fixed(&[0; 12]));
    let answer = exchange(&writer.take_bytes())?;
    let rules = messages(&answer).flatten().filter(|message| message.kind == RTM_NEWRULE);
    Ok(rules.filter_map(|message| table(&message)).collect())
}

/// Of `struct fib_rule_hdr` (family, lengths, tos, table, ..) and the attributes behind it.
fn table(message: &Message<'_>) -> Option<u32> {
    let (head, body) = message.payload.split_first_chunk::<12>()?;
    let wide = attributes(body).flatten().find(|(kind, _)| *kind == FRA_TABLE);
    wide.and_then(|(_, value)| number(value, 0)).or(Some(head[4].into())).filter(|table| *table != 0)
}

fn exchange(request: &[u8]) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("netlink: {error}");
    let mut socket = Socket::new(NETLINK_ROUTE).map_err(failed)?;
    socket.bind_auto().map_err(failed)?;
    // So that the kernel filters routes by table and protocol.
    socket.set_netlink_get_strict_chk(true).map_err(failed)?;
    socket.connect(&SocketAddr::new(0, 0)).map_err(failed)?;
    socket.send(request, 0).map_err(failed)?;
    let mut answer = Vec::new();
    loop {
        let (datagram, _) = socket.recv_from_full().map_err(failed)?;
        answer.extend_from_slice(&datagram);
        answer.resize(answer.len().next_multiple_of(4), 0);
        let is_end = |message: Message<'_>| matches!(message.kind, NLMSG_ERROR | NLMSG_DONE);
        if messages(&datagram).any(|message| message.map_or(true, is_end)) {
            return Ok(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_answers() {
        let links = ask(Question::Links).unwrap();
        let is_lo = |event: &Event| matches!(event, Event::Link(_, link) if link.name.as_str() == "lo");
        assert!(links.iter().any(is_lo));
        assert!(tables_of_rules().unwrap().contains(&254), "the rule of the table `main`");
    }
}
