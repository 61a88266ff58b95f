//! `dcrf login`: signs in as a browser does, and stores the cookie of the session in the context.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::sync::Arc;

use clap::Args;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, COOKIE, HOST, HeaderValue, ORIGIN, REFERER, SET_COOKIE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use indexmap::IndexMap;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::connection::contexts::Contexts;
use crate::connection::secret::Secret;
use crate::connection::stream::Stream;
use crate::connection::{ConnectionArgs, Target};
use crate::escape::escape;
use crate::failure::{Code, Failure};
use crate::output::{GOOD, Output};
use crate::signals::interrupted;
use crate::terminal::HiddenInput;

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  dcrf login alice\n  dcrf login alice --page /login/ < password.txt"
)]
pub(crate) struct LoginArgs {
    user: String,
    /// The path of Django's login page
    #[arg(long, value_name = "PATH", default_value = "/accounts/login/")]
    page: String,
    /// The name of the session's cookie
    #[arg(long, value_name = "NAME", default_value = "sessionid")]
    session_cookie: String,
}

/// The most bytes of a login page that are read.
const LARGEST_PAGE: usize = 4 << 20;

/// # Errors
///
/// There is no context to store the session in, the server can't be reached, or it does not accept user and password.
pub(crate) async fn run(
    args: &LoginArgs,
    connection: &ConnectionArgs,
    out: Output,
) -> Result<(), Failure> {
    let contexts = Contexts::load().map_err(Failure::usage)?;
    let name = connection.context_name(&contexts).ok_or_else(|| {
        Failure::usage("a session is stored in a context: add one with `dcrf context add NAME URL`, and name it with --context")
    })?;
    contexts.get(&name).map_err(Failure::usage)?;
    let target = connection.target()?;
    let password = password(&args.user).await?;
    let browser = Browser { target, cookies: IndexMap::new() };
    let signing_in = browser.sign_in(args, &password);
    let session = timeout(connection.timeout, signing_in).await.map_err(|_| {
        Failure::new(Code::TimedOut, "the server did not answer the login in time")
    })??;
    // The file may have changed in the meantime.
    let mut contexts = Contexts::load().map_err(Failure::usage)?;
    if let Some(context) = contexts.contexts.get_mut(&name) {
        context.cookies.insert(args.session_cookie.clone(), session);
    }
    contexts.save().map_err(Failure::usage)?;
    out.state(GOOD, &format!("signed in; the session is stored in the context {name}"));
    Ok(())
}

/// Asks for the password at the terminal, or reads a line of standard input.
async fn password(user: &str) -> Result<String, Failure> {
    let hidden = if io::stdin().is_terminal() { Some(HiddenInput::start()?) } else { None };
    if hidden.is_some() {
        let _ = write!(io::stderr(), "Password of {}: ", escape(user));
    }
    let line = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    let line = tokio::select! {
        line = line => line.map_err(io::Error::other)??,
        () = interrupted() => {
            drop(hidden);
            return Err(Failure::new(Code::Interrupted, "interrupted"));
        }
    };
    if hidden.is_some() {
        let _ = writeln!(io::stderr());
    }
    match line.trim_end_matches(['\r', '\n']) {
        "" => Err(Failure::usage("there is no password")),
        password => Ok(password.to_owned()),
    }
}

/// Keeps cookies between requests.
struct Browser {
    target: Target,
    cookies: IndexMap<String, String>,
}

impl Browser {
    async fn sign_in(mut self, args: &LoginArgs, password: &str) -> Result<Secret, Failure> {
        let (page, html) = self.request(Method::GET, &args.page, None).await?;
        if page.status() != StatusCode::OK {
            return Err(Failure::new(
                Code::Refused,
                format!(
                    "the login page {} answers with HTTP status {}: name it with --page",
                    args.page,
                    page.status().as_u16()
                ),
            ));
        }
        let token = form_token(&html).or_else(|| self.cookies.get("csrftoken").cloned());
        let mut form = vec![("username", args.user.as_str()), ("password", password)];
        if let Some(token) = &token {
            form.push(("csrfmiddlewaretoken", token));
        }
        self.cookies.shift_remove(&args.session_cookie);
        let (answer, _) = self.request(Method::POST, &args.page, Some(&encoded(&form))).await?;
        let session = self.cookies.get(&args.session_cookie).cloned();
        // With a wrong password Django shows the form again, and may set an anonymous session.
        let session = session.filter(|_| answer.status().is_redirection());
        let session = session.map(Secret::new).filter(|session| session.literal().is_some());
        session.ok_or_else(|| match answer.status() {
            StatusCode::FORBIDDEN => Failure::new(
                Code::NotAuthorized,
                "the server rejected the form (HTTP status 403): is this the login page?",
            ),
            _ => Failure::new(Code::NotAuthorized, "the server did not accept user and password"),
        })
    }

    async fn request(
        &mut self,
        method: Method,
        path: &str,
        form: Option<&str>,
    ) -> Result<(Response<()>, String), Failure> {
        let endpoint = self.target.endpoint.clone();
        let scheme = if endpoint.is_tls() { "https" } else { "http" };
        let host = if endpoint.host().contains(':') {
            format!("[{}]", endpoint.host())
        } else {
            endpoint.host().to_owned()
        };
        let authority = format!("{host}:{}", endpoint.port());
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &authority)
            .header(ORIGIN, format!("{scheme}://{authority}"))
            .header(REFERER, format!("{scheme}://{authority}{path}"))
            .header(COOKIE, self.cookie_header()?);
        if form.is_some() {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        let body = Full::new(Bytes::from(form.unwrap_or_default().to_owned()));
        let request = request
            .body(body)
            .map_err(|_| Failure::usage(format!("{path:?} is not the path of a page")))?;
        let cannot = |error: &dyn std::fmt::Display| {
            Failure::new(
                Code::CannotConnect,
                format!("could not reach {scheme}://{authority}: {error}"),
            )
        };
        let stream = open(&self.target).await.map_err(|error| cannot(&error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| cannot(&error))?;
        tokio::spawn(connection);
        let (head, body) =
            sender.send_request(request).await.map_err(|error| cannot(&error))?.into_parts();
        for cookie in head.headers.get_all(SET_COOKIE) {
            self.keep(cookie);
        }
        let body =
            Limited::new(body, LARGEST_PAGE).collect().await.map_err(|error| cannot(&error))?;
        Ok((Response::from_parts(head, ()), String::from_utf8_lossy(&body.to_bytes()).into_owned()))
    }

    fn cookie_header(&self) -> Result<HeaderValue, Failure> {
        let cookies: Vec<_> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut value = HeaderValue::try_from(cookies.join("; "))
            .map_err(|_| Failure::new(Code::Refused, "the server set an invalid cookie"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn keep(&mut self, cookie: &HeaderValue) {
        let Ok(text) = cookie.to_str() else { return };
        let mut parts = text.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        let value = value.trim().trim_matches('"');
        if value.is_empty() || parts.any(|part| part.eq_ignore_ascii_case("max-age=0")) {
            self.cookies.shift_remove(name.trim());
        } else {
            self.cookies.insert(name.trim().to_owned(), value.to_owned());
        }
    }
}

/// A stream to the server, with TLS if the URL has it.
async fn open(target: &Target) -> io::Result<Stream> {
    let stream = target.route.clone().open(target.endpoint.clone()).await?;
    let Some(config) = &target.tls else { return Ok(stream) };
    let name = ServerName::try_from(target.endpoint.host().to_owned()).map_err(io::Error::other)?;
    let connected = TlsConnector::from(Arc::clone(config)).connect(name, stream).await?;
    Ok(Box::new(connected))
}

/// The token in the form of the page.
fn form_token(html: &str) -> Option<String> {
    let input = html.split("<input").find(|input| input.contains("csrfmiddlewaretoken"))?;
    let (_, value) = input.split_once("value=")?;
    let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    value[1..].split(quote).next().map(str::to_owned)
}

fn encoded(form: &[(&str, &str)]) -> String {
    let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let pairs: Vec<_> =
        form.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_of_the_form_is_found() {
        let html = r#"<form><input type="text" name="q"><input type="hidden" name="csrfmiddlewaretoken" value="abc123"></form>"#;
        assert_eq!(form_token(html).as_deref(), Some("abc123"));
        assert_eq!(form_token("<form></form>"), None);
    }

    #[test]
    fn forms_are_encoded() {
        assert_eq!(
            encoded(&[("username", "a b"), ("password", "&=é")]),
            "username=a%20b&password=%26%3D%C3%A9"
        );
    }
}
