//! The server's virtual environment, made once under cargo's target directory.

use std::collections::hash_map::DefaultHasher;
use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::error::StartError;

/// The server's sources.
const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/server");

/// The oldest Python that `requirements.txt` was resolved for.
const OLDEST_PYTHON: (u32, u32) = (3, 11);

/// The command that runs the server. Makes the environment if there is none.
pub(super) fn command() -> Result<Command, StartError> {
    let interpreter = interpreter()?;
    let mut command = Command::new(interpreter);
    // -E: ignore the user's Python variables. -B: write nothing next to the sources.
    command.args(["-E", "-B"]).arg(Path::new(SERVER).join("serve.py"));
    Ok(command)
}

/// The environment's interpreter.
fn interpreter() -> Result<PathBuf, StartError> {
    let python = env::var_os("DCRF_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let requirements = Path::new(SERVER).join("requirements.txt");
    let packages = fs::read_to_string(&requirements)
        .map_err(|source| StartError::io("read the test server's requirements.txt", source))?;

    let all = target_directory().join("dcrf-tests");
    let folder = all.join(format!("venv-{:016x}", digest(&(&packages, &python))));
    let complete = folder.join("complete");
    let interpreter = folder.join("bin").join("python");

    if !complete.exists() {
        let failed = |source| StartError::io("make the test server's environment", source);
        fs::create_dir_all(&all).map_err(failed)?;
        let lock = File::create(folder.with_extension("lock")).map_err(failed)?;
        lock.lock().map_err(failed)?;
        // Another test process may have made it in the meantime.
        if !complete.exists() {
            remove(&folder).map_err(failed)?;
            create(&python, &folder)?;
            install(&interpreter, &requirements)?;
            // Last, so that an interrupted installation is repeated.
            File::create(complete).map_err(failed)?;
        }
    }
    Ok(interpreter)
}

fn create(python: &OsString, folder: &Path) -> Result<(), StartError> {
    check_version(python)?;
    let output = run(Command::new(python).args(["-m", "venv"]).arg(folder))?;
    if output.status.success() {
        return Ok(());
    }
    let program = name(python);
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    // Debian leaves out ensurepip, other systems the whole module.
    if text.contains("ensurepip") || text.contains("No module named venv") {
        Err(StartError::NoVenv { program })
    } else {
        Err(StartError::Venv { program, reason: last_line(&text) })
    }
}

fn install(interpreter: &Path, requirements: &Path) -> Result<(), StartError> {
    let output = run(Command::new(interpreter)
        .args(["-m", "pip", "install", "--quiet", "--no-input"])
        .args(["--disable-pip-version-check", "--require-hashes", "-r"])
        .arg(requirements))?;
    if output.status.success() {
        Ok(())
    } else {
        let reason = last_line(&String::from_utf8_lossy(&output.stderr));
        Err(StartError::Pip { reason })
    }
}

fn check_version(python: &OsString) -> Result<(), StartError> {
    let script = "import sys; print(*sys.version_info[:2])";
    let output = match run(Command::new(python).args(["-c", script])) {
        Err(StartError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            let program = name(python);
            return Err(StartError::NoPython { program });
        }
        output => output?,
    };
    let version = String::from_utf8_lossy(&output.stdout).trim().replace(' ', ".");
    let new_enough = version
        .split_once('.')
        .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)))
        .is_some_and(|version: (u32, u32)| version >= OLDEST_PYTHON);
    if new_enough {
        Ok(())
    } else {
        let program = name(python);
        Err(StartError::OldPython { program, version })
    }
}

fn run(command: &mut Command) -> Result<Output, StartError> {
    command.output().map_err(|source| StartError::io("run Python", source))
}

/// Cargo's target directory. A relative `CARGO_TARGET_DIR` is resolved at the workspace's root,
/// because tests run in their package's folder.
fn target_directory() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    workspace.join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn last_line(text: &str) -> String {
    let last = text.lines().rfind(|line| !line.trim().is_empty());
    last.unwrap_or("no reason given").trim().to_owned()
}

fn digest(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn name(python: &OsString) -> String {
    python.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_python_error_says_what_to_install() {
        let error = create(&"/nowhere/python3".into(), Path::new("unused")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Python 3.11 or newer is needed for the test server, and /nowhere/python3 was not \
             found: install python3 and python3-venv (Debian: apt-get install python3 \
             python3-venv), or name an interpreter in DCRF_TEST_PYTHON"
        );
    }

    #[test]
    fn old_python_error_has_the_version() {
        let python = Fake::new("old", "echo 3 9");
        assert_eq!(
            python.error(),
            "Python 3.11 or newer is needed for the test server, and PYTHON is Python 3.9: install \
             a newer one and name it in DCRF_TEST_PYTHON"
        );
    }

    #[test]
    fn missing_venv_error_says_what_to_install() {
        let needed = "the test server needs Python's venv and ensurepip modules, which PYTHON \
                      lacks: install python3-venv (Debian: apt-get install python3-venv)";
        let debian = "[ $1 = -c ] && echo 3 11 || { echo ensurepip is not available; exit 1; }";
        assert_eq!(Fake::new("debian", debian).error(), needed);
        let bare = "[ $1 = -c ] && echo 3 13 || { echo No module named venv >&2; exit 1; }";
        assert_eq!(Fake::new("bare", bare).error(), needed);
    }

    #[test]
    fn other_venv_errors_have_pythons_message() {
        let full = "[ $1 = -c ] && echo 3 12 || { echo; echo No space left; exit 1; }";
        assert_eq!(
            Fake::new("full", full).error(),
            "PYTHON could not make a virtual environment for the test server: No space left"
        );
    }

    #[test]
    fn install_error_has_pips_message() {
        let offline = Fake::new("offline", "echo ERROR: No matching distribution >&2; exit 1");
        let error = install(Path::new(&offline.0), Path::new("requirements.txt")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "pip could not install the test server's packages, for which it needs a network or a \
             mirror: ERROR: No matching distribution"
        );
    }

    /// A shell script in place of an interpreter.
    struct Fake(OsString);

    impl Fake {
        fn new(name: &str, script: &str) -> Self {
            let path = env::temp_dir().join(format!("dcrf-fake-{name}-{}", std::process::id()));
            // Written by another process: a script held open for writing, even by a child that
            // another test has just forked, can't be run.
            let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$2\" && chmod +x \"$2\"";
            let status =
                Command::new("sh").args(["-c", write, "sh", script]).arg(&path).status().unwrap();
            assert!(status.success());
            Self(path.into())
        }

        /// The resulting error, with the script's path replaced by `PYTHON`.
        fn error(&self) -> String {
            let error = create(&self.0, Path::new("unused")).unwrap_err();
            error.to_string().replace(&*self.0.to_string_lossy(), "PYTHON")
        }
    }

    impl Drop for Fake {
        fn drop(&mut self) {
            fs::remove_file(&self.0).unwrap();
        }
    }
}
