//! Glewlwyd, the second authorization server: an unchanged Debian package with an SQLite database of its own.
//!
//! All its access tokens are JWTs; what it says of them is asked by introspection. Its audience is a resource, if a
//! client asked for one by client credentials, and else the scopes, as one string.
//!
//! How it answers, as JSON with `no-store` (`tests/introspection/answers` has examples):
//!
//! * active: `active`, `client_id`, `aud`, `iat`, `nbf`, `exp`, `jti`, `scope`, `token_type` ("bearer") always;
//!   `username` and `sub` of a user, neither of a client; never `iss`
//! * inactive: `{"active":false}` and nothing else: revoked, over, made up, or a refresh token
//! * to us: 401 without a body and without `WWW-Authenticate`, for a wrong secret, an unknown client and none at all.
//!   Basic credentials are taken as they are: it does **not** undo the form-encoding of RFC 6749, so that a secret
//!   with `:` or `%` in it is refused when it is encoded
//! * signed: `typ` is `token-introspection+jwt`, but by a draft of RFC 9701: `aud` is the one of the *token*, not the
//!   client that asks. For an inactive token it answers 400 without a body

use std::path::PathBuf;
use std::process::Stdio;

use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::program::{free_port, listening};

/// The client that gets tokens and asks about them.
pub(crate) const CLIENT: (&str, &str) = ("shop", "se:c%r+t");

pub(crate) struct Glewlwyd {
    pub(crate) issuer: String,
    http: reqwest::Client,
    folder: PathBuf,
    _process: Child,
}

impl Glewlwyd {
    pub(crate) async fn start() -> Self {
        let port = free_port().await;
        let folder = std::env::temp_dir().join(format!("tower-bearer-glewlwyd-{}-{port}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let tables = "zcat /usr/share/doc/glewlwyd/database/init.sqlite3.sql.gz | sqlite3 database";
        let status = Command::new("sh").args(["-c", tables]).current_dir(&folder).status().await.unwrap();
        assert!(status.success(), "the database of Glewlwyd");
        let address = format!("http://127.0.0.1:{port}");
        let settings = format!(
            "port = {port}
            bind_address = \"127.0.0.1\"
            external_url = \"{address}\"
            login_url = \"login.html\"
            api_prefix = \"api\"
            cookie_secure = 0
            log_mode = \"console\"
            log_level = \"ERROR\"
            hash_algorithm = \"SHA512\"
            user_module_path = \"/usr/lib/glewlwyd/user\"
            user_middleware_module_path = \"/usr/lib/glewlwyd/user_middleware\"
            client_module_path = \"/usr/lib/glewlwyd/client\"
            user_auth_scheme_module_path = \"/usr/lib/glewlwyd/scheme\"
            plugin_module_path = \"/usr/lib/glewlwyd/plugin\"
            database = {{ type = \"sqlite3\", path = \"database\" }}
            "
        );
        std::fs::write(folder.join("settings"), settings).unwrap();
        let mut glewlwyd = Command::new("glewlwyd");
        glewlwyd.args(["-c", "settings"]).current_dir(&folder).kill_on_drop(true);
        glewlwyd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = glewlwyd.spawn().unwrap();
        let http = reqwest::Client::new();
        let started = Self { issuer: format!("{address}/api/oidc"), http, folder, _process: process };
        listening(port).await;
        started.set_up(&address).await;
        started
    }

    /// By its own API, as its administrator.
    async fn set_up(&self, address: &str) {
        let credentials = json!({ "username": "admin", "password": "password" });
        let response = self.http.post(format!("{address}/api/auth/")).json(&credentials).send().await.unwrap();
        let cookie = response.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let add = async |what: &str, value: Value| {
            let request = self.http.post(format!("{address}/api/{what}/")).header("cookie", &cookie).json(&value);
            let response = request.send().await.unwrap();
            assert!(response.status().is_success(), "{what}: {}", response.text().await.unwrap());
        };
        let scope = json!({
            "name": "orders:read", "display_name": "orders:read",
            "password_required": false, "password_max_age": 0, "scheme": {},
        });
        add("scope", scope).await;
        let user = json!({ "username": "alice", "password": "password", "scope": ["orders:read"], "enabled": true });
        add("user", user).await;
        let client = json!({
            "client_id": CLIENT.0, "client_secret": CLIENT.1, "confidential": true, "enabled": true,
            "scope": ["orders:read"], "resource": [crate::API], "redirect_uri": [],
            "authorization_type": ["password", "client_credentials", "refresh_token"],
            "token_endpoint_auth_method": ["client_secret_basic", "client_secret_post"],
        });
        add("client", client).await;
        let plugin = json!({
            "module": "oidc", "name": "oidc", "display_name": "oidc", "enabled": true, "order_rank": 0,
            "parameters": {
                "iss": self.issuer, "jwks-private": json!({ "keys": [key()] }).to_string(),
                "jwt-type": "ecdsa", "jwt-key-size": "256", "jwks-show": true, "allowed-scope": ["openid"],
                "access-token-duration": 300, "refresh-token-duration": 300, "code-duration": 60,
                "allow-non-oidc": true, "auth-type-password-enabled": true, "auth-type-client-enabled": true,
                "introspection-revocation-allowed": true, "introspection-revocation-allow-target-client": true,
                "resource-allowed": true, "resource-client-property": "resource",
                "resource-scope": {}, "resource-scope-and-client-property": false,
                "session-management-allowed": false,
            },
        });
        add("mod/plugin", plugin).await;
    }

    /// Posts a form as the client. Only the API knows what it means.
    pub(crate) fn post(&self, path: &str, form: &[(&str, &str)]) -> reqwest::RequestBuilder {
        self.http.post(format!("{}/{path}", self.issuer)).form(form)
    }

    async fn tokens(&self, form: &[(&str, &str)]) -> Value {
        let request = self.post("token", form).basic_auth(CLIENT.0, Some(CLIENT.1));
        request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
    }

    /// The tokens of the user `alice`, whose audience is the scope.
    pub(crate) async fn user(&self) -> Value {
        let form = [("grant_type", "password"), ("username", "alice"), ("password", "password")];
        self.tokens(&[&form[..], &[("scope", "orders:read")]].concat()).await
    }

    /// A token of the client itself, for this resource.
    pub(crate) async fn client(&self, resource: &str) -> String {
        let form = [("grant_type", "client_credentials"), ("scope", "orders:read"), ("resource", resource)];
        self.tokens(&form).await["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn revoke(&self, token: &str) {
        let request = self.post("revoke", &[("token", token), ("token_type_hint", "access_token")]);
        request.basic_auth(CLIENT.0, Some(CLIENT.1)).send().await.unwrap().error_for_status().unwrap();
    }
}

impl Drop for Glewlwyd {
    fn drop(&mut self) {
        // what cannot be removed is left to the system, which empties the folder of temporary files
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// A new signing key, as a JWK.
fn key() -> Value {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let secret: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().unwrap();
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    // the uncompressed point: a byte 4, x, y
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    let (x, y, d) = (text(x), text(y), text(secret.as_ref()));
    json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "one", "x": x, "y": y, "d": d })
}
