//! A real Redis, on a free port of the loopback, that ends with the test.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::program::{free_port, listening};

pub(crate) struct RedisServer {
    pub(crate) port: u16,
    folder: PathBuf,
    process: Option<Child>,
    arguments: &'static [&'static str],
    tls: bool,
}

/// It remembers over its own death what it has answered.
pub(crate) const DURABLE: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];

impl RedisServer {
    pub(crate) async fn start(arguments: &'static [&'static str]) -> Self {
        let mut server = Self::not_yet(arguments).await;
        server.begin().await;
        server
    }

    /// One that has a place, and does not run yet.
    pub(crate) async fn not_yet(arguments: &'static [&'static str]) -> Self {
        let port = free_port().await;
        let folder = std::env::temp_dir().join(format!("tower-bearer-redis-{}-{port}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        Self { port, folder, process: None, arguments, tls: false }
    }

    /// One that speaks TLS and nothing else, with a certificate for `localhost` from an authority of
    /// its own. Returns the authority's file, too.
    pub(crate) async fn with_tls() -> (Self, PathBuf) {
        let mut server = Self::not_yet(&[]).await;
        server.tls = true;
        let openssl = async |arguments: &str| {
            let mut openssl = Command::new("openssl");
            openssl.args(arguments.split(' ')).current_dir(&server.folder).stderr(Stdio::null());
            assert!(openssl.status().await.unwrap().success(), "openssl {arguments}");
        };
        std::fs::write(server.folder.join("names"), "subjectAltName=DNS:localhost").unwrap();
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=test-authority")).await;
        openssl(&format!("req {key} -keyout redis.key -out redis.csr -subj /CN=localhost")).await;
        let sign = "x509 -req -in redis.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names";
        openssl(&format!("{sign} -out redis.pem")).await;
        server.begin().await;
        let authority = server.folder.join("ca.pem");
        (server, authority)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) async fn begin(&mut self) {
        let mut redis = Command::new("redis-server");
        redis.args(["--bind", "127.0.0.1", "--save", ""]);
        match &self.tls {
            // in its folder
            true => redis
                .args(["--port", "0", "--tls-port", &self.port.to_string(), "--tls-auth-clients", "no"])
                .args(["--tls-cert-file", "redis.pem", "--tls-key-file", "redis.key", "--tls-ca-cert-file", "ca.pem"]),
            false => redis.args(["--port", &self.port.to_string()]),
        };
        redis.args(self.arguments).current_dir(&self.folder).kill_on_drop(true);
        redis.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.process = Some(redis.spawn().unwrap());
        listening(self.port).await;
    }

    /// Ends it at once, as a crash would.
    pub(crate) async fn kill(&mut self) {
        self.process.take().unwrap().kill().await.unwrap();
    }

    /// Stops it in the middle of whatever it does: connections stay open, and nobody answers.
    pub(crate) async fn pause(&self) {
        self.signal("STOP").await;
    }

    pub(crate) async fn resume(&self) {
        self.signal("CONT").await;
    }

    /// Runs a command, as an administrator would. Returns the answer as it is sent.
    pub(crate) async fn command(&self, command: &str) -> String {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        connection.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        answer.strip_suffix("+OK\r\n").unwrap().to_owned()
    }

    async fn signal(&self, signal: &str) {
        let id = self.process.as_ref().unwrap().id().unwrap();
        let status = Command::new("kill").args(["-s", signal, &id.to_string()]).status().await.unwrap();
        assert!(status.success());
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // what cannot be removed is left to the system, which empties the folder of temporary files
        drop(std::fs::remove_dir_all(&self.folder));
    }
}
