//! Named servers in `~/.config/dcrf/config.toml`.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::secret::Secret;
use super::token::TokenAs;

/// The file of all contexts.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The one that is used if none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    #[serde(default)]
    pub(crate) contexts: IndexMap<String, Context>,
}

/// How to connect to one server.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Context {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<Secret>,
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub(crate) headers: IndexMap<String, Secret>,
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub(crate) cookies: IndexMap<String, Secret>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) subprotocols: Vec<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_cmd: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_as: Option<TokenAs>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_cert: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_key: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) proxy: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unix_socket: Option<PathBuf>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) bare: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pk: Option<String>,
}

impl Contexts {
    /// The file: `DCRF_CONFIG`, or `config.toml` in the user's configuration folder.
    ///
    /// # Errors
    ///
    /// If the user has no home.
    pub(crate) fn path() -> Result<PathBuf, String> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        if let Some(path) = variable("DCRF_CONFIG") {
            return Ok(path.into());
        }
        let folder = variable("XDG_CONFIG_HOME")
            .or_else(|| if cfg!(windows) { variable("APPDATA") } else { None })
            .map(PathBuf::from)
            .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".config")))
            .ok_or("there is no home folder: set DCRF_CONFIG to the path of the configuration")?;
        Ok(folder.join("dcrf").join("config.toml"))
    }

    /// Reads the file. Without one, there are no contexts.
    ///
    /// # Errors
    ///
    /// The file can't be read, or is not of this form. The sentence has the position, but no content: it can be a secret.
    pub(crate) fn load() -> Result<Self, String> {
        let path = Self::path()?;
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            // Other messages can quote a value.
            let message =
                Some(error.message()).filter(|message| message.starts_with("unknown field"));
            let message = message.unwrap_or("this is not the form of a configuration");
            format!("{}, line {line}: {message}", path.display())
        })
    }

    /// Writes the file so that only the user can read it, and at once: a crash leaves the old one.
    ///
    /// # Errors
    ///
    /// The file can't be written.
    pub(crate) fn save(&self) -> Result<(), String> {
        let path = Self::path()?;
        let text = toml::to_string(self).map_err(|error| error.to_string())?;
        write_private(&path, text.as_bytes())
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    pub(crate) fn get(&self, name: &str) -> Result<&Context, String> {
        self.contexts.get(name).ok_or_else(|| {
            if self.contexts.is_empty() {
                return format!(
                    "there is no context {name:?}: add it with `dcrf context add {name} URL`"
                );
            }
            let names: Vec<_> = self.contexts.keys().map(String::as_str).collect();
            format!("there is no context {name:?}: the contexts are {}", names.join(", "))
        })
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    // A link, for example into a folder of dotfiles, stays one.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let new = path.with_extension(format!("toml.{}", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)
}
