//! Values that must not be shown: a header, a cookie, the URL of a proxy.

use std::fmt;
use std::fs;

use serde::{Deserialize, Serialize};

/// A value, or where it is: `env:NAME` names an environment variable, and `@FILE` a file. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The value, if it stands here itself, so that it was in the list of processes.
    pub(crate) fn literal(&self) -> Option<&str> {
        let is_literal = !self.0.starts_with("env:") && !self.0.starts_with('@');
        is_literal.then_some(&self.0)
    }

    /// # Errors
    ///
    /// There is no current folder.
    pub(crate) fn make_path_absolute(&mut self) -> std::io::Result<()> {
        if let Some(path) = self.0.strip_prefix('@') {
            self.0 = format!("@{}", std::path::absolute(path)?.display());
        }
        Ok(())
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

/// For clap. Values are checked later, since clap would show a wrong one.
impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Parts of the names of headers and parameters that have secrets.
const SECRET_NAMES: [&str; 10] =
    ["token", "key", "ticket", "secret", "passw", "auth", "session", "jwt", "signature", "cookie"];

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|part| name.contains(part))
}

/// Checks a URL from the command line.
///
/// # Errors
///
/// It has a secret in its query.
pub(crate) fn check_url(url: &Secret) -> Result<(), String> {
    let query = url.literal().and_then(|url| url.split_once('?')).map_or("", |(_, query)| query);
    let names = query.split('&').filter_map(|pair| pair.split('=').next());
    match names.into_iter().find(|name| is_secret(name)) {
        Some(name) => Err(format!(
            "the URL's {name} would be in the list of processes, where other users can read it: write env:VARIABLE or @FILE \
             for the URL, or use --token-cmd with --token-as query:{name}"
        )),
        None => Ok(()),
    }
}

/// Reads `NAME=VALUE` of a header or a cookie from the command line.
pub(crate) struct Named;

impl Named {
    /// A header, with its name in lower case.
    ///
    /// # Errors
    ///
    /// The form is wrong, or a secret stands there itself: every user of the machine could read it in the list of processes.
    pub(crate) fn header(text: &Secret) -> Result<(String, Secret), String> {
        let (name, value) = split("--header", text)?;
        let name = name.to_ascii_lowercase();
        let is_secret = name == "sec-websocket-protocol" || is_secret(&name);
        if is_secret && value.literal().is_some() {
            return Err(in_process_list("--header", &name));
        }
        Ok((name, value))
    }

    /// A cookie.
    ///
    /// # Errors
    ///
    /// As for [`header`](Self::header).
    pub(crate) fn cookie(text: &Secret) -> Result<(String, Secret), String> {
        let (name, value) = split("--cookie", text)?;
        match value.literal() {
            Some(_) => Err(in_process_list("--cookie", &name)),
            None => Ok((name, value)),
        }
    }
}

fn split(option: &str, text: &Secret) -> Result<(String, Secret), String> {
    let pair = text.0.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) =
        pair.ok_or_else(|| format!("{option}: write NAME=VALUE, NAME=env:VARIABLE or NAME=@FILE"))?;
    Ok((name.to_owned(), Secret::new(value)))
}

fn in_process_list(option: &str, name: &str) -> String {
    format!(
        "{option}: the value of {name} would be in the list of processes, where other users can read it: write \
         {name}=env:VARIABLE or {name}=@FILE, or use --token-cmd"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown_and_not_taken_from_the_command_line() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
        let header = |text: &str| Named::header(&Secret::new(text));
        let error = header("Authorization=Token hunter2").unwrap_err();
        assert!(error.contains("authorization=env:VARIABLE") && !error.contains("hunter2"));
        assert!(Named::cookie(&Secret::new("sessionid=hunter2")).is_err());
        assert_eq!(Named::cookie(&Secret::new("sessionID=env:S")).unwrap().0, "sessionID");
        assert_eq!(header("X-Room=4").unwrap().1.read().unwrap(), "4");
        assert!(
            header("X-Api-Key=4").is_err() && header("x-room").is_err() && header("=4").is_err()
        );
    }

    #[test]
    fn url_with_a_secret_is_not_taken_from_the_command_line() {
        let check = |url: &str| check_url(&Secret::new(url));
        let error = check("ws://x/ws/?room=1&access_token=hunter2").unwrap_err();
        assert!(error.contains("query:access_token") && !error.contains("hunter2"));
        for url in ["ws://x/ws/", "ws://x/ws/?room=token", "env:TOKEN", "@token", "x"] {
            check(url).unwrap();
        }
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
