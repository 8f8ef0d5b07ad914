//! The TLS side of `ssl:` remotes: our certificate and key, and a check of the server's chain. It opens no connection.
//!
//! Like OVS's own clients it does not compare the server's name: certificates of ovs-pki name no address. What counts is
//! that the chain ends in the given CA.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};

/// Files in PEM, as OVS's `--private-key`, `--certificate` and `--ca-cert` name them. They are read at each connect, so
/// renewed ones are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    /// Our key.
    pub private_key: PathBuf,
    /// Our certificate, and further ones up to the CA.
    pub certificate: PathBuf,
    /// The certificates of the CAs that servers may be signed by.
    pub ca_cert: PathBuf,
}

/// Why there can be no TLS with these files; the words name the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds nothing of use.
    #[error("the {what} in {path}: {reason}")]
    File {
        /// Which of the three.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Key and certificate do not go together.
    #[error("the private key in {0} and the certificate in {1}: {2}")]
    Pair(PathBuf, PathBuf, rustls::Error),
}

/// What a connection needs to be made with these files.
pub fn client_config(options: &TlsOptions) -> Result<Arc<ClientConfig>, TlsError> {
    let TlsOptions { private_key, certificate, ca_cert } = options;
    let mut roots = RootCertStore::empty();
    for root in certificates("CA certificate", ca_cert)? {
        roots.add(root).map_err(|error| file_error("CA certificate", ca_cert, error))?;
    }
    let chain = certificates("certificate", certificate)?;
    let key = PrivateKeyDer::from_pem_file(private_key)
        .map_err(|error| file_error("private key", private_key, error))?;
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(ChainVerifier { roots, provider: provider.clone() });
    let pair_error = |error| TlsError::Pair(private_key.clone(), certificate.clone(), error);
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(pair_error)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(chain, key)
        .map_err(pair_error)?;
    Ok(Arc::new(config))
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if found.is_empty() => Err(file_error(what, path, "no certificate is in it")),
        Ok(found) => Ok(found),
        Err(error) => Err(file_error(what, path, error)),
    }
}

fn file_error(what: &'static str, path: &Path, reason: impl ToString) -> TlsError {
    TlsError::File { what, path: path.into(), reason: reason.to_string() }
}

/// Takes any server whose chain ends in one of the roots, whatever its name.
#[derive(Debug)]
struct ChainVerifier {
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ChainVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = ParsedCertificate::try_from(certificate)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, algorithms)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What an error of a TLS connection means to an operator, where that is more than rustls says.
pub fn hint(error: &std::io::Error) -> &'static str {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        // The second one: a CA of the same name, but with another key.
        Some(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        )) => " (the certificate is not signed by the given CA)",
        Some(rustls::Error::AlertReceived(_)) => " (the server refuses our certificate)",
        Some(rustls::Error::InvalidMessage(_)) => " (this port does not speak TLS)",
        _ => "",
    }
}
