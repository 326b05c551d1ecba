//! Certificates for trying out: a root that phones can be told to trust, and one for this server, both made here.
//!
//! The root is made once and kept. The server's own is made at each start, with the names and addresses it has then,
//! for no longer than phones accept (825 days).

use crate::server::clock;
use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);
const ROOT_LIFE: Duration = DAY.saturating_mul(3_650);
const OWN_LIFE: Duration = DAY.saturating_mul(800);

/// The files of certificate and key. Beside them stand `ca.pem`, for phones, and its key.
///
/// # Errors
/// A file in `folder` cannot be read or written.
pub fn for_trying_out(folder: &Path, names: &[String]) -> Result<(PathBuf, PathBuf)> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let (root_file, root_key_file) = (folder.join("ca.pem"), folder.join("ca-key.pem"));
    let root_params = root_params()?;
    let root_key = if root_key_file.exists() && root_file.exists() {
        let text = fs::read_to_string(&root_key_file)?;
        KeyPair::from_pem(&text).with_context(|| format!("{} holds no key", root_key_file.display()))?
    } else {
        let key = KeyPair::generate()?;
        write(&root_key_file, &key.serialize_pem())?;
        write(&root_file, &root_params.self_signed(&key)?.pem())?;
        key
    };
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = named("Tierline");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    live(&mut params, OWN_LIFE);
    let own = params.signed_by(&key, &Issuer::new(root_params, &root_key))?;
    let (own_file, key_file) = (folder.join("certificate.pem"), folder.join("key.pem"));
    write(&own_file, &own.pem())?;
    write(&key_file, &key.serialize_pem())?;
    Ok((own_file, key_file))
}

/// Always the same name: the root need not be read again to sign with its key.
fn root_params() -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name = named("Tierline's root for trying out");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    live(&mut params, ROOT_LIFE);
    Ok(params)
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// From yesterday on: clocks of phones differ.
fn live(params: &mut CertificateParams, life: Duration) {
    let now = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_millis(u64::try_from(clock::wall().0).unwrap_or(0));
    (params.not_before, params.not_after) = (now - DAY, now + life);
}

/// For its owner only; whole or not at all.
fn write(file: &Path, text: &str) -> Result<()> {
    let fresh = file.with_extension("new");
    let written = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh);
    let written = written.and_then(|mut fresh| fresh.write_all(text.as_bytes()));
    written.and_then(|()| fs::rename(&fresh, file)).with_context(|| format!("{} cannot be written", file.display()))
}
