//! The parts of the file that stand once: what the schema cannot say about them.

use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use crate::file::{FileReference, Recognition, Storage, is_name};
use crate::load::Report;
use crate::shape::got;
use crate::tree::text;

/// Checks the address of the metrics page.
pub(crate) fn check_listen(report: &mut Report<'_>, top: &DeTable<'_>) {
    let Some(table) = top.get("status").and_then(|node| node.get_ref().as_table()) else { return };
    let Some((listen, span)) = text(table, "listen") else { return };
    let path = "status.listen";
    let message = match listen.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => return,
        Ok(address) => format!(
            "`listen`: {} is not a loopback address; the page has no log-in, so it is served on this machine alone, \
             allowed: 127.0.0.1:{port} or [::1]:{port}",
            address.ip(),
            port = address.port()
        ),
        Err(_) => {
            let came = table.get("listen").map(|node| got(node.get_ref())).unwrap_or_default();
            format!("`listen`: expected address:port such as 127.0.0.1:9464, got {came}")
        }
    };
    report.error(path, span, message);
    report.unusable.insert(path.to_owned());
}

/// Checks the connection to the IISPP.
pub(crate) fn check_iispp(
    report: &mut Report<'_>,
    top: &DeTable<'_>,
    folder: &Path,
    credentials: Option<&Path>,
) {
    let Some(iispp) = top.get("iispp").and_then(|node| node.get_ref().as_table()) else { return };
    let host = text(iispp, "host").filter(|(host, _)| !host.is_empty());
    // A host name (RFC 1123) or an address; everything else in a URL has its own key.
    let is_host = |host: &str| {
        host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
            || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
    };
    if let Some((host, span)) = host.clone().filter(|(host, _)| !is_host(host)) {
        let host = host.escape_debug();
        let message = format!("`host`: expected a host name or an address alone, got \"{host}\"");
        report.error("iispp.host", span, message);
    }
    let plaintext = iispp.get("insecure_plaintext");
    let insecure = plaintext.is_some_and(|node| node.get_ref().as_bool() == Some(true));
    match (iispp.get("tls"), plaintext.filter(|_| insecure)) {
        (Some(_), Some(plaintext)) => {
            let message = "`insecure_plaintext`: `tls` is given too; keep one of the two".to_owned();
            report.error("iispp.insecure_plaintext", plaintext.span(), message);
        }
        (None, None) => {
            let message = "missing key `tls`: give [iispp.tls] with ca_file, certificate_file and key_file";
            report.error("iispp.tls", report.span("iispp"), message.to_owned());
        }
        (None, Some(plaintext)) => {
            if let Some((host, _)) = host.filter(|(host, _)| is_host(host) && !is_loopback(host)) {
                let message = format!(
                    "`insecure_plaintext`: only allowed to a broker on this machine (localhost, 127.0.0.1, ::1), not \
                     to \"{host}\"; give [iispp.tls]"
                );
                report.error("iispp.insecure_plaintext", plaintext.span(), message);
            }
        }
        (Some(_), None) => {}
    }
    let tls = iispp.get("tls").and_then(|node| node.get_ref().as_table());
    for key in ["ca_file", "certificate_file", "key_file"] {
        let Some((reference, span)) = tls.and_then(|tls| text(tls, key)) else { continue };
        let path = format!("iispp.tls.{key}");
        if report.has_reported(&path) {
            continue;
        }
        let reference = FileReference::from(reference.to_owned()).below(folder);
        if let FileReference::Credential(name) = &reference
            && !is_name(name)
        {
            let name = name.escape_debug();
            let message = format!(
                "`tls.{key}`: \"{name}\" is not the name of a credential, allowed: A-Z a-z 0-9 _ . -"
            );
            report.error(&path, span, message);
            continue;
        }
        match reference.path_in(credentials) {
            Ok(file) => {
                if let Err(reason) = readable(&file) {
                    let message = format!("`tls.{key}`: cannot read {}: {reason}", file.display());
                    report.error(&path, span, message);
                }
            }
            Err(missing) => report.warning(&path, span, format!("`tls.{key}`: {missing}")),
        }
    }
}

/// Whether `host` is this machine.
fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn readable(file: &Path) -> Result<(), String> {
    let metadata = File::open(file).and_then(|open| open.metadata()).map_err(|error| error.to_string())?;
    if metadata.is_file() { Ok(()) } else { Err("it is not a file".to_owned()) }
}

/// Makes the folder relative to `folder`; it need not exist yet.
pub(crate) fn check_storage(report: &mut Report<'_>, storage: Option<&mut Storage>, folder: &Path) {
    let Some(storage) = storage else { return };
    storage.directory = folder.join(&storage.directory);
    if storage.directory.exists() && !storage.directory.is_dir() {
        let path = "storage.directory";
        let message = format!("`directory`: {} is not a folder", storage.directory.display());
        report.error(path, report.span(path), message);
    }
}

/// Makes the paths relative to `folder`. What is not there is a warning: everything but the cameras works without.
pub(crate) fn check_recognition(
    report: &mut Report<'_>,
    recognition: Option<&mut Recognition>,
    folder: &Path,
    credentials: Option<&Path>,
) {
    let Some(recognition) = recognition else { return };
    if let Some(faces) = &mut recognition.faces {
        faces.key_file = faces.key_file.clone().below(folder);
        faces.store = faces.store.take().map(|store| folder.join(store));
        let path = "recognition.faces.key_file";
        let fault = match faces.key_file.path_in(credentials) {
            Ok(file) => readable(&file).err().map(|reason| {
                format!(
                    "cannot read {}: {reason}; no face is read without it, `edge-agent faces key FILE` makes one",
                    file.display()
                )
            }),
            Err(missing) => Some(missing.to_string()),
        };
        if let Some(fault) = fault {
            report.warning(path, report.span(path), format!("`faces.key_file`: {fault}"));
        }
    }
    let mut look = |key: &str, file: &mut PathBuf, check: fn(&Path) -> Result<(), String>| {
        *file = folder.join(&*file);
        let path = format!("recognition.{key}");
        if let Err(reason) = check(file) {
            let message =
                format!("`{key}`: cannot read {}: {reason}; nothing is read without it", file.display());
            report.warning(&path, report.span(&path), message);
        }
    };
    look("runtime", &mut recognition.runtime, readable);
    look("models", &mut recognition.models, |file| match std::fs::read_dir(file) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    });
}
