//! `wss://`: the real server with certificates that the story makes.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use dcrf_proto::websocket::{ConnectError, Tls};
use dcrf_proto::{Change, Lost, Subscribe};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};

use super::{create_task, rename};
use crate::adapter::{Adapter, Setup, quick};
use crate::models::Task;
use crate::observe::{change, connected, lost, restarted};
use crate::server::{Builder, Kind, Server};

/// A certificate authority of the story's own, and a folder for what it makes.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    folder: PathBuf,
}

/// A certificate and its key in PEM.
struct Identity {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("dcrf-tls-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Another name than that of the certificates: OpenSSL would take them for their own issuers.
        params.distinguished_name.push(DnType::CommonName, "authority of a story");
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem, folder }
    }

    fn issue(&self, name: &str, purpose: ExtendedKeyUsagePurpose) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Identity { certificate, key: key.serialize_pem() }
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path = self.folder.join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A server that shows a certificate for `localhost`.
    fn server(&self) -> Builder {
        let identity = self.issue("localhost", ExtendedKeyUsagePurpose::ServerAuth);
        Server::builder()
            .kind(Kind::Uvicorn)
            .env("DCRF_TEST_CERTIFICATE", self.file("server.pem", &identity.certificate))
            .env("DCRF_TEST_KEY", self.file("server.key", &identity.key))
    }

    fn trust(&self) -> Tls {
        Tls::default().ca_certificate(&self.pem)
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn url(server: &Server, host: &str) -> String {
    format!("wss://{host}:{}/ws/", server.address().port())
}

async fn refused<A: Adapter>(adapter: &A, setup: Setup) {
    let Err(ConnectError::Failed { error, .. }) = adapter.connect_with(setup).await else {
        panic!("it is let in")
    };
    assert!(matches!(error, Lost::Certificate(_)), "{error:?}");
}

/// Requests and subscriptions over TLS, also over the server's death; and no word to a server that is not
/// trusted.
pub async fn x2_a_server_with_a_certificate<A: Adapter>(adapter: A) {
    let authority = Authority::new();
    let mut server = authority.server().start().unwrap();
    let trusting = Setup::new(&url(&server, "localhost"), quick()).tls(authority.trust());
    let client = adapter.connect_with(trusting).await.unwrap();
    let mut events = client.events();
    let task = create_task(&client, "encrypted").await;
    let mut changes =
        client.subscribe::<Task>(Subscribe::instance("tasks", task.pk)).await.unwrap();

    server.kill().unwrap();
    lost(&mut events).await;
    let server = restarted(&adapter, server).await;
    connected(&mut events).await;
    assert!(matches!(change(&mut changes).await, Change::Gap(_)));
    let renamed = rename(&client, &task, "after").await;
    assert_eq!(change(&mut changes).await, Change::Update(renamed));

    refused(&adapter, Setup::new(&url(&server, "localhost"), quick())).await;
    let other_host = Setup::new(&url(&server, "127.0.0.1"), quick()).tls(authority.trust());
    refused(&adapter, other_host).await;
}

/// A server that lets nobody in who has no certificate of its authority.
pub async fn x2_a_client_with_a_certificate<A: Adapter>(adapter: A) {
    let authority = Authority::new();
    let ca = authority.file("ca.pem", &authority.pem);
    let server = authority.server().env("DCRF_TEST_CLIENT_CA", ca).start().unwrap();
    let setup = |tls| Setup::new(&url(&server, "localhost"), quick()).tls(tls);

    let identity = authority.issue("device-7", ExtendedKeyUsagePurpose::ClientAuth);
    let known = authority.trust().client_certificate(&identity.certificate, &identity.key);
    let client = adapter.connect_with(setup(known)).await.unwrap();
    create_task(&client, "by a device").await;

    // Python's server hangs up without the alert that would say why.
    let Err(ConnectError::Failed { error, .. }) =
        adapter.connect_with(setup(authority.trust())).await
    else {
        panic!("it is let in")
    };
    assert!(matches!(error, Lost::Dropped | Lost::Io { .. } | Lost::Certificate(_)), "{error:?}");
}
