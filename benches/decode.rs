//! An OVSDB reply of 50,000 ports from bytes to typed rows, compared with the least that serde_json needs for the same
//! bytes: a decode into borrowed, typed rows after one check for UTF-8.
//!
//! `cargo bench --bench decode`

mod common;

use std::{collections::HashMap, hint::black_box, time::Duration};

use common::{
    Table,
    cloud::{Cloud, Family, On},
    in_turns, ratio,
    reply::Server,
    time,
};
use serde::Deserialize;

const CLOUD: Cloud = Cloud { tenants: 50, vms: 995, family: Family::V4, on: On::Tenants };
const ROUNDS: usize = 15;

/// What serde_json is given to fill: as borrowed as JSON without escapes allows.
mod borrowed {
    use super::*;

    #[derive(Deserialize)]
    pub struct Reply<'a> {
        #[serde(borrow)]
        pub result: (bool, &'a str, HashMap<&'a str, HashMap<&'a str, Change<'a>>>),
    }

    #[derive(Deserialize)]
    pub struct Change<'a> {
        #[serde(borrow)]
        pub initial: Port<'a>,
    }

    type Pairs<'a> = (&'a str, Vec<(&'a str, &'a str)>);

    #[derive(Deserialize)]
    #[serde(default)]
    #[derive(Default)]
    #[allow(dead_code, reason = "filled, not read")]
    pub struct Port<'a> {
        pub logical_port: &'a str,
        pub r#type: &'a str,
        #[serde(borrow)]
        pub datapath: (&'a str, &'a str),
        #[serde(borrow)]
        pub chassis: Option<(&'a str, &'a str)>,
        pub mac: &'a str,
        #[serde(borrow)]
        pub options: Pairs<'a>,
        #[serde(borrow)]
        pub external_ids: Pairs<'a>,
        pub up: Option<bool>,
    }
}

fn serde_jsons(server: &Server) -> Duration {
    let bytes = black_box(server.reply.as_bytes());
    let (took, rows) = time(|| {
        let text = std::str::from_utf8(bytes).expect("UTF-8");
        let reply: borrowed::Reply<'_> = serde_json::from_str(text).expect("a reply");
        reply.result.2
    });
    assert_eq!(rows["Port_Binding"].len(), CLOUD.ports().count());
    assert!(rows["Port_Binding"].values().all(|change| !change.initial.logical_port.is_empty()));
    took
}

fn ours(server: &Server) -> Duration {
    let session = server.greeted();
    time(|| server.decode(session)).0
}

fn main() {
    let server = Server::new(CLOUD);
    let table = Table::begin("OVSDB reply");
    let (ours, serde) = in_turns(ROUNDS, || ours(&server), || serde_jsons(&server));
    let ratio = ratio(ours, serde);
    table.note("rows and bytes", format!("{} rows, {} bytes", CLOUD.ports().count(), server.reply.len()));
    table.note("serde_json, typed and borrowed", format!("{serde:.1?}"));
    table.line("frame, session and typed rows", format!("{ours:.1?}, {ratio:.2} x"), "1.5 x", ratio <= 1.5);
}
