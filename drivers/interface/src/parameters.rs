//! From the parameters in the site file to a driver's own type.

use serde::de::DeserializeOwned;

/// Why a sensor's parameters cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", field.as_ref().map(|field| format!("`{field}`: ")).unwrap_or_default())]
pub struct ConfigError {
    /// Dotted path of the field inside the sensor's table; `None` where it concerns the whole table.
    pub field: Option<String>,
    /// What was expected and what came.
    pub message: String,
}

impl ConfigError {
    /// An error about one field.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self { field: Some(field.to_owned()), message: message.into() }
    }
}

/// Reads a protocol's parameters; the error names the field and what is allowed there.
pub fn parse_parameters<T: DeserializeOwned>(parameters: toml::Table) -> Result<T, ConfigError> {
    serde_path_to_error::deserialize(toml::Value::Table(parameters)).map_err(|error| {
        let path = error.path().to_string();
        ConfigError {
            field: (path != ".").then_some(path),
            message: error.inner().to_string().trim().to_owned(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        #[allow(dead_code)]
        address: String,
        #[serde(default)]
        #[allow(dead_code)]
        antennas: Vec<u16>,
    }

    #[test]
    fn errors_name_the_field_and_what_is_allowed() {
        let error = parse_parameters::<Example>(toml::from_str("adress = 'x'").unwrap()).unwrap_err();
        assert!(error.message.contains("`address`"), "{error}");
        let error =
            parse_parameters::<Example>(toml::from_str("address = 'x'\nantennas = [1, 'two']").unwrap())
                .unwrap_err();
        assert_eq!(error.field.as_deref(), Some("antennas[1]"));
    }
}
