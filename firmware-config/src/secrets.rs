//! Secrets do not belong into the site file: it is copied, mailed and printed.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::tree::{Node, join};

/// A secret that stands in the file itself.
pub(crate) struct Inline {
    /// Dotted path of the field.
    pub path: String,
    /// The value's place, which must not be shown.
    pub span: Range<usize>,
    /// What to do instead.
    pub message: String,
}

/// The last word of a key that holds a secret.
const SECRET_WORDS: &[&str] =
    &["password", "passwd", "passphrase", "passcode", "secret", "token", "key", "psk", "credentials"];

/// Finds every secret in `table`.
pub(crate) fn find(table: &DeTable<'_>, path: &str) -> Vec<Inline> {
    let mut found = Vec::new();
    for (key, node) in table {
        let key = key.get_ref().as_ref();
        look(key, node, join(path, key), &mut found);
    }
    found
}

fn look(key: &str, node: &Node<'_>, path: String, found: &mut Vec<Inline>) {
    let message = match node.get_ref() {
        DeValue::Table(table) => return found.extend(find(table, &path)),
        DeValue::Array(list) => {
            for (index, item) in list.iter().enumerate() {
                look(key, item, format!("{path}[{index}]"), found);
            }
            return;
        }
        DeValue::Boolean(_) => return,
        DeValue::String(text) if text.contains("PRIVATE KEY-----") => {
            format!(
                "`{key}`: a private key must not stand in the site file; give the path of its file, or `credential:NAME`"
            )
        }
        DeValue::String(text) if has_password(text) => format!(
            "`{key}`: an address with a password in it must not stand in the site file; leave `:password` out and give \
             the password as a file or as a systemd credential"
        ),
        DeValue::String(text) if text.starts_with("credential:") => return,
        DeValue::String(text) if is_login(key, text) => format!(
            "`{key}`: a password must not stand in the site file; give the path of a file that holds `user:password`, or \
             `credential:NAME` for a systemd credential"
        ),
        _ if names_a_secret(key) => format!(
            "`{key}`: a secret must not stand in the site file; use `{key}_file` with the path of a file that holds it, or \
             with `credential:NAME` for a systemd credential"
        ),
        _ => return,
    };
    found.push(Inline { path, span: node.span(), message });
}

/// The right sides of `key = …` where the key holds a secret, for text that is not valid TOML.
pub(crate) fn on_lines(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices('=') {
        let before = text.get(..at).unwrap_or("").trim_end_matches([' ', '\t', '"', '\'']);
        let key = before.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-').next();
        if key.is_some_and(names_a_secret) {
            let after = text.get(at + 1..).unwrap_or("");
            found.push(at + 1..at + 1 + after.find('\n').unwrap_or(after.len()));
        }
    }
    found
}

fn names_a_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    let last = key.rsplit(['_', '-']).next().unwrap_or(&key);
    SECRET_WORDS.contains(&last)
}

/// Whether a key for a log-in holds `user:password` itself and no path.
fn is_login(key: &str, text: &str) -> bool {
    key.to_lowercase().ends_with("login") && text.contains(':') && !text.contains('/')
}

/// Whether `text` is a URL with `user:password@` (RFC 3986 section 3.2.1).
fn has_password(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    user.and_then(|user| user.split_once(':')).is_some_and(|(_, password)| !password.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        let tree = DeTable::parse(text).unwrap();
        find(tree.get_ref(), "").into_iter().map(|inline| inline.path).collect()
    }

    #[test]
    fn secrets_are_found_by_name_and_by_form() {
        let text = r#"
            password = "x"
            api_token = 7
            url = "rtsp://u:p@10.0.0.1/1"
            pem = "-----BEGIN PRIVATE KEY-----"
            list = [{ secret = "x" }]
            login = "admin:x"
        "#;
        assert_eq!(paths(text), ["api_token", "list[0].secret", "login", "password", "pem", "url"]);
    }

    #[test]
    fn references_and_innocent_keys_are_not() {
        let text = r#"
            key_file = "/etc/edge-agent/box.key"
            password_file = "credential:camera"
            password = "credential:camera"
            keep_alive_s = 30
            token_ring = "x"
            login = "camera-1.login"
            url = "rtsp://u@10.0.0.1/1"
            other = "rtsp://[::1]:554/a@b:c"
        "#;
        assert!(paths(text).is_empty(), "{:?}", paths(text));
    }
}
