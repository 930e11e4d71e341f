//! Whose certificates a sink trusts.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::Error;

/// TLS 1.2 or later, trusting the authorities in `ca` (PEM), or Mozilla's if there is none.
pub(crate) fn tls(ca: Option<&str>) -> Result<rustls::ClientConfig, Error> {
    let roots = match ca {
        None => webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(),
        Some(pem) => authorities(pem)?,
    };
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Config(format!("cannot set up TLS: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(tls)
}

fn authorities(pem: &str) -> Result<rustls::RootCertStore, Error> {
    let problem = |what: String| Error::Config(format!("`ca` {what}"));
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| problem(format!("is not PEM: {error}")))?;
        let added = roots.add(certificate);
        added.map_err(|error| problem(format!("has a certificate of no use: {error}")))?;
    }
    match roots.is_empty() {
        true => Err(problem(
            "holds no certificate; it must be PEM text, such as `${file:/etc/ssl/own-ca.pem}`"
                .to_owned(),
        )),
        false => Ok(roots),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_refused() {
        for ca in [
            "",
            "/etc/ssl/own-ca.pem",
            "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
        ] {
            let error = tls(Some(ca)).unwrap_err();
            assert!(error.to_string().starts_with("`ca` "), "{error}");
        }
        assert!(tls(None).is_ok());
    }
}
