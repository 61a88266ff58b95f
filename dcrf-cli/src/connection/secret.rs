//! Values that must not be shown: a header, a cookie, the URL of a proxy.

use std::fmt;
use std::fs;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A value, or where it is: `env:NAME` names an environment variable, and `@FILE` a file. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether the value itself stands here, so that it was in the process list.
    pub(crate) fn is_literal(&self) -> bool {
        !self.0.starts_with("env:") && !self.0.starts_with('@')
    }

    /// Reads the value. Spaces and line breaks at the end of a file do not count.
    ///
    /// # Errors
    ///
    /// A sentence about the variable or the file, without its content.
    pub(crate) fn read(&self) -> Result<String, String> {
        if let Some(name) = self.0.strip_prefix("env:") {
            return std::env::var(name)
                .map_err(|_| format!("the environment variable {name} is not set"));
        }
        let Some(path) = self.0.strip_prefix('@') else { return Ok(self.0.clone()) };
        let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
        Ok(text.trim_end().to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// `NAME=VALUE` of a header or a cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) value: Secret,
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or("write NAME=VALUE, NAME=env:VARIABLE or NAME=@FILE")?;
        Ok(Self { name: name.to_ascii_lowercase(), value: Secret::new(value) })
    }
}

/// Headers whose value is always a secret.
const SECRET_HEADERS: [&str; 4] =
    ["authorization", "cookie", "proxy-authorization", "sec-websocket-protocol"];

impl Named {
    /// A header from the command line.
    ///
    /// # Errors
    ///
    /// If a secret stands there itself: every user of the machine could read it in the process list.
    pub(crate) fn header(text: &str) -> Result<Self, String> {
        let header: Self = text.parse()?;
        if SECRET_HEADERS.contains(&header.name.as_str()) && header.value.is_literal() {
            return Err(in_process_list(&header.name));
        }
        Ok(header)
    }

    /// A cookie from the command line. Its name keeps its case.
    ///
    /// # Errors
    ///
    /// As for [`header`](Self::header).
    pub(crate) fn cookie(text: &str) -> Result<Self, String> {
        let cookie: Self = text.parse()?;
        let name = text[..cookie.name.len()].to_owned();
        if cookie.value.is_literal() {
            return Err(in_process_list(&name));
        }
        Ok(Self { name, ..cookie })
    }
}

fn in_process_list(name: &str) -> String {
    format!(
        "the value would be in the list of processes, where other users can read it: write {name}=env:VARIABLE or \
         {name}=@FILE, or use --token-cmd"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown_and_not_taken_from_the_command_line() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
        let error = Named::header("Authorization=Token hunter2").unwrap_err();
        assert!(error.contains("authorization=env:VARIABLE") && !error.contains("hunter2"));
        assert!(Named::cookie("sessionid=hunter2").is_err());
        assert_eq!(Named::cookie("sessionID=env:S").unwrap().name, "sessionID");
        assert_eq!(Named::header("X-Tenant=4").unwrap().value.read().unwrap(), "4");
        assert!(Named::header("x-tenant").is_err() && Named::header("=4").is_err());
    }

    #[test]
    fn secret_is_read_from_a_file_without_its_line_break() {
        let path = std::env::temp_dir().join(format!("dcrf-secret-{}", std::process::id()));
        fs::write(&path, "hunter2\n").unwrap();
        assert_eq!(Secret::new(format!("@{}", path.display())).read().unwrap(), "hunter2");
        fs::remove_file(&path).unwrap();
        let error = Secret::new(format!("@{}", path.display())).read().unwrap_err();
        assert!(error.contains("dcrf-secret-"), "{error}");
        let unset = Secret::new("env:DCRF_UNSET_VARIABLE").read().unwrap_err();
        assert_eq!(unset, "the environment variable DCRF_UNSET_VARIABLE is not set");
    }
}
