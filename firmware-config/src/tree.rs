//! The parsed file as a tree in which everything knows its place.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

/// A value with its place in the file.
pub(crate) type Node<'i> = Spanned<DeValue<'i>>;

/// Appends `key` to a dotted path.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The integer, if it fits 64 bits.
pub(crate) fn integer(value: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(value.as_str(), value.radix()).ok()
}

/// The string at `key`, with its place.
pub(crate) fn text<'a>(table: &'a DeTable<'_>, key: &str) -> Option<(&'a str, Range<usize>)> {
    let node = table.get(key)?;
    Some((node.get_ref().as_str()?, node.span()))
}

/// The number at `key`, with its place.
pub(crate) fn number(table: &DeTable<'_>, key: &str) -> Option<(f64, Range<usize>)> {
    let node = table.get(key)?;
    let value = match node.get_ref() {
        DeValue::Integer(value) => integer(value)? as f64,
        DeValue::Float(value) => value.as_str().parse().ok()?,
        _ => return None,
    };
    Some((value, node.span()))
}

/// The tables of the list at `key`, with their place in the list and in the file.
pub(crate) fn tables<'a, 'i>(
    table: &'a DeTable<'i>,
    key: &str,
) -> Vec<(usize, &'a DeTable<'i>, Range<usize>)> {
    let list = table.get(key).and_then(|node| node.get_ref().as_array());
    let items = list.into_iter().flat_map(|list| list.iter().enumerate());
    items.filter_map(|(index, node)| Some((index, node.get_ref().as_table()?, node.span()))).collect()
}

/// The place of the value at `path` below `root`, or of the nearest thing above it that exists.
pub(crate) fn span_of(root: &Node<'_>, path: &str) -> Range<usize> {
    let mut node = root;
    for step in path.split(['.', '[', ']']).filter(|step| !step.is_empty()) {
        let next = match node.get_ref() {
            DeValue::Table(table) => table.get(step),
            DeValue::Array(list) => step.parse::<usize>().ok().and_then(|index| list.get(index)),
            _ => None,
        };
        match next {
            Some(next) => node = next,
            None => break,
        }
    }
    node.span()
}

/// The plain value without what stands at the paths in `skip`; `None` if nothing is left of it.
pub(crate) fn plain(node: &Node<'_>, path: &str, skip: &BTreeSet<String>) -> Option<toml::Value> {
    if skip.contains(path) {
        return None;
    }
    Some(match node.get_ref() {
        DeValue::String(text) => toml::Value::String(text.clone().into_owned()),
        DeValue::Integer(value) => toml::Value::Integer(integer(value)?),
        DeValue::Float(value) => toml::Value::Float(value.as_str().parse().ok()?),
        DeValue::Boolean(value) => toml::Value::Boolean(*value),
        DeValue::Datetime(value) => toml::Value::Datetime(*value),
        DeValue::Array(list) => {
            let items = list.iter().enumerate();
            let items = items.filter_map(|(index, item)| plain(item, &format!("{path}[{index}]"), skip));
            toml::Value::Array(items.collect())
        }
        DeValue::Table(table) => toml::Value::Table(plain_table(table, path, skip)),
    })
}

/// [`plain`] for a table.
pub(crate) fn plain_table(table: &DeTable<'_>, path: &str, skip: &BTreeSet<String>) -> toml::Table {
    let entries = table.iter();
    entries
        .filter_map(|(key, node)| {
            let key = key.get_ref().as_ref();
            Some((key.to_owned(), plain(node, &join(path, key), skip)?))
        })
        .collect()
}
