//! A secret, or where it is, as data.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

use crate::secret::Secret;

/// A secret, or the file that holds it.
#[derive(Clone, Deserialize)]
#[serde(untagged, expecting = "expected a secret: a string, or an object with file")]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Secret"))]
pub(super) enum SecretConfig {
    /// The secret itself.
    Text(String),
    /// A file, which is read each time.
    File(SecretFile),
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct SecretFile {
    /// Its path.
    file: PathBuf,
}

impl fmt::Debug for SecretConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl From<SecretConfig> for Secret {
    fn from(secret: SecretConfig) -> Self {
        match secret {
            SecretConfig::Text(text) => Self::new(text),
            SecretConfig::File(SecretFile { file }) => Self::file(file),
        }
    }
}
