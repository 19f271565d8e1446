//! A secret of this service, wherever it is.

use std::fmt;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

/// Longer ones are no secrets, but another file.
const MAX_LEN: u64 = 64 * 1024;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A secret of this service: its text, a file that holds it, or a function that knows it.
///
/// A file and a function are asked again and again, so that a secret can be replaced while the
/// service runs: for each request to an issuer, and once a minute for nonces. `Debug` says where the
/// secret is, and not what it is; no error and no log repeats it.
///
/// # Examples
///
/// ```
/// use tower_bearer::introspection::Secret;
///
/// let in_memory = Secret::new("s3cret");
/// let mounted = Secret::file("/run/secrets/orders-api");
/// let rotated = Secret::from_fn(|| std::env::var("ORDERS_API_SECRET"));
/// assert_eq!(format!("{in_memory:?}"), "Secret(…)");
/// ```
#[derive(Clone)]
pub struct Secret(Origin);

#[derive(Clone)]
enum Origin {
    Text(Arc<str>),
    File(Arc<PathBuf>),
    Function(Arc<dyn Fn() -> Result<String, BoxError> + Send + Sync>),
}

impl Secret {
    /// Takes the secret itself.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(Origin::Text(secret.into().into()))
    }

    /// Reads the secret from this file each time that it is needed. A line break at the end is
    /// left out.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Origin::File(Arc::new(path.into())))
    }

    /// Asks this function for the secret each time that it is needed.
    ///
    /// It is called on a thread that may block. While it fails, an issuer is not asked, and tokens
    /// that are not known yet are refused with 503; nonces go on with the secret that they have.
    pub fn from_fn<F, E>(function: F) -> Self
    where
        F: Fn() -> Result<String, E> + Send + Sync + 'static,
        E: Into<BoxError>,
    {
        Self(Origin::Function(Arc::new(move || function().map_err(Into::into))))
    }

    /// Tells whether it can be had without a wait, and never changes.
    pub(crate) fn is_at_hand(&self) -> bool {
        matches!(self.0, Origin::Text(_))
    }

    /// Reads it, on a thread that may block; the error says why it cannot be had.
    pub(crate) fn read(&self) -> Result<Arc<str>, String> {
        let secret = match &self.0 {
            Origin::Text(text) => Ok(Arc::clone(text)),
            Origin::File(path) => read_file(path).map(Into::into),
            // what it says may repeat what it has found
            Origin::Function(function) => function().map(Into::into).map_err(|_| "its function failed".to_owned()),
        };
        match secret {
            Ok(secret) if secret.is_empty() => Err("it is empty".into()),
            secret => secret,
        }
    }
}

fn read_file(path: &PathBuf) -> Result<String, String> {
    let failed = |what: &dyn fmt::Display| format!("{}: {what}", path.display());
    let file = std::fs::File::open(path).map_err(|error| failed(&error))?;
    let mut text = String::new();
    let read = file.take(MAX_LEN.saturating_add(1)).read_to_string(&mut text).map_err(|error| failed(&error))?;
    if u64::try_from(read).unwrap_or(u64::MAX) > MAX_LEN {
        return Err(failed(&"longer than 64 KiB"));
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Self::new(secret)
    }
}

impl From<&str> for Secret {
    fn from(secret: &str) -> Self {
        Self::new(secret)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Origin::Text(_) => f.write_str("Secret(…)"),
            Origin::File(path) => write!(f, "Secret(file {})", path.display()),
            Origin::Function(_) => f.write_str("Secret(function)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_anew_and_shown_never() {
        let path = std::env::temp_dir().join(format!("tower-bearer-secret-{}", std::process::id()));
        let secret = Secret::file(&path);
        assert!(secret.read().unwrap_err().contains("tower-bearer-secret"));
        for (text, found) in [("one\n", "one"), ("two\r\n", "two"), (" three ", " three "), ("four\n\n", "four\n")] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(secret.read().as_deref(), Ok(found));
        }
        for (text, why) in [(String::new(), "it is empty"), ("x".repeat(64 * 1024 + 1), "longer than")] {
            std::fs::write(&path, text).unwrap();
            assert!(secret.read().unwrap_err().contains(why));
        }
        std::fs::write(&path, [0xff]).unwrap();
        assert!(secret.read().is_err());
        std::fs::remove_file(&path).unwrap();
        let failing = Secret::from_fn(|| Err::<String, _>("hunter2 is not there"));
        assert_eq!(failing.read(), Err("its function failed".to_owned()));
        for secret in [Secret::new("hunter2"), failing, secret] {
            assert!(!format!("{secret:?}").contains("hunter2"));
        }
    }
}
