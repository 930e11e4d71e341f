//! A certificate for 127.0.0.1 and the authority that signed it, made by `openssl`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// PEM files.
pub struct Certificate {
    /// The authority's certificate.
    pub ca: PathBuf,
    /// The server's certificate.
    pub certificate: PathBuf,
    /// The server's key.
    pub key: PathBuf,
}

impl Certificate {
    /// Makes the files in `folder`; they are good for two days.
    pub fn make(folder: &Path) -> Certificate {
        let [ca, ca_key, certificate, key] =
            ["ca.pem", "ca.key", "server.pem", "server.key"].map(|name| folder.join(name));
        let new_key = "req -x509 -days 2 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        let out = format!("-out {} -keyout {}", ca.display(), ca_key.display());
        openssl(&format!("{new_key} -subj /CN=tests {out}"));
        let signer = format!("-CA {} -CAkey {}", ca.display(), ca_key.display());
        let out = format!("-out {} -keyout {}", certificate.display(), key.display());
        openssl(&format!(
            "{new_key} -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 \
             -addext basicConstraints=critical,CA:FALSE {signer} {out}"
        ));
        Certificate { ca, certificate, key }
    }
}

/// Runs `openssl` with these words.
fn openssl(line: &str) {
    let done = Command::new("openssl").args(line.split_whitespace()).output();
    let done = done.expect("openssl is installed");
    assert!(done.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&done.stderr));
}
