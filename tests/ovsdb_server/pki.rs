//! Keys and certificates as ovs-pki makes them: a CA `pki` that signed `server` and `client`, and a CA `other` that signed
//! `stranger`.

use std::path::PathBuf;

use super::{path, run};

/// They go with this.
pub struct Pki {
    directory: tempfile::TempDir,
}

impl Pki {
    /// Makes them, which takes seconds.
    pub fn new() -> Self {
        let pki = Self { directory: tempfile::tempdir().unwrap() };
        let at = |name: &str| format!("--dir={}", path(&pki.file(name)));
        let log = format!("--log={}", path(&pki.file("log")));
        for name in ["pki", "other"] {
            run("ovs-pki", &["--force", &at(name), &log, "init"]);
        }
        let signed = [
            ("server", "switch", "pki"),
            ("client", "controller", "pki"),
            ("stranger", "controller", "other"),
        ];
        for (name, class, ca) in signed {
            let directory = path(pki.directory.path());
            let script = format!("cd {directory} && ovs-pki -u {} {log} req+sign {name} {class}", at(ca));
            run("sh", &["-c", &script]);
        }
        pki
    }

    /// What an ovsdb-server wants to be told to listen with TLS here, and to take only who `pki` signed.
    pub fn server_options(&self, port: u16) -> Vec<String> {
        vec![
            format!("--remote=pssl:{port}:127.0.0.1"),
            format!("--private-key={}", path(&self.key("server"))),
            format!("--certificate={}", path(&self.certificate("server"))),
            format!("--ca-cert={}", path(&self.file("pki/controllerca/cacert.pem"))),
        ]
    }

    /// Where the private key is.
    pub fn key(&self, name: &str) -> PathBuf {
        self.file(&format!("{name}-privkey.pem"))
    }

    /// Where the certificate is.
    pub fn certificate(&self, name: &str) -> PathBuf {
        self.file(&format!("{name}-cert.pem"))
    }

    /// The certificate of the CA that signs servers.
    pub fn servers_ca(&self, ca: &str) -> PathBuf {
        self.file(&format!("{ca}/switchca/cacert.pem"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}
