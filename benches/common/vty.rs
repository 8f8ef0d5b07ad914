//! An operator at the vty socket of one of FRR's daemons.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    time::Duration,
};

/// What a daemon of FRR's says to a command.
pub fn ask(socket: &str, command: &str) -> io::Result<String> {
    let mut vty = UnixStream::connect(socket)?;
    vty.set_read_timeout(Some(Duration::from_secs(300)))?;
    vty.write_all(b"enable\0")?;
    answer(&mut vty)?;
    vty.write_all(format!("{command}\0").as_bytes())?;
    answer(&mut vty)
}

/// A text, three zeros and a status.
fn answer(vty: &mut UnixStream) -> io::Result<String> {
    let (mut said, mut bytes) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        let read = vty.read(&mut bytes)?;
        said.extend_from_slice(&bytes[..read]);
        match said.split_last_chunk::<4>() {
            Some((text, [0, 0, 0, _])) => return Ok(String::from_utf8_lossy(text).into_owned()),
            _ if read == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => {}
        }
    }
}
