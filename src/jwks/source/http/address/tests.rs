use super::*;

/// What our own client may do where no host is named.
fn checked(reach: &Reach, uri: &str, loopback: bool) -> Result<Url, &'static str> {
    reach.checked(uri, loopback, &PlainHttp { hosts: Some(Arc::new([])), below_localhost: true })
}

#[test]
fn keys_come_over_https_or_from_loopback_only() {
    for good in [
        "https://id.test/jwks",
        "http://127.0.0.1:8080/",
        "http://127.1.2.3/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://localhost/",
        "http://localhost./",
        "http://keys.localhost:8080/",
    ] {
        assert!(checked(&Reach::Anywhere, good, true).is_ok(), "{good}");
    }
    for bad in [
        "http://id.test/jwks",
        "http://10.0.0.1/",
        "http://169.254.169.254/latest",
        "http://127.0.0.1.id.test/",
        "http://localhost.id.test/",
        "file:///etc/passwd",
        "ftp://id.test/",
        "https://user:pw@id.test/",
        "http://0.0.0.0/",
        "http://keys.localhost.test/",
        "http://notlocalhost/",
        "acme.com",
        "",
    ] {
        assert!(checked(&Reach::Anywhere, bad, true).is_err(), "{bad}");
    }
    for own in [
        "http://127.0.0.1/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://localhost:8443/",
        "https://LOCALHOST./",
        "https://keys.localhost/",
        "https://KEYS.LOCALHOST./",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://0.0.0.0/",
        "https://[::]/",
    ] {
        assert!(checked(&Reach::Anywhere, own, false).is_err(), "{own}");
    }
}

#[test]
fn only_public_addresses_are_reached_for_issuers_found_at_run_time() {
    for public in ["1.1.1.1", "100.63.0.1", "172.15.0.1", "172.32.0.1", "192.0.1.1", "198.20.0.1", "223.255.255.255"] {
        assert!(is_public(public.parse().unwrap()), "{public}");
    }
    for public in ["2606:4700::1111", "2001:200::1", "64:ff9b::101:101", "2002:101:101::1", "::ffff:1.1.1.1"] {
        assert!(is_public(public.parse().unwrap()), "{public}");
    }
    for special in [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:10.0.0.1",
        "::10.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::a00:1",
        "2001::1",
        "2001:db8::1",
        "2002:a00:1::1",
        "3fff::1",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "5f00::1",
    ] {
        assert!(!is_public(special.parse().unwrap()), "{special}");
        let host = if special.contains(':') { format!("[{special}]") } else { special.to_owned() };
        let closed = Reach::Public { and: Arc::new([]) };
        assert!(checked(&closed, &format!("https://{host}/jwks"), true).is_err(), "{special}");
    }
    let open = Reach::Public { and: Arc::new(["10.1.2.3".into(), "fd12::1".into()]) };
    for allowed in ["https://10.1.2.3/", "https://[fd12::1]:8443/", "https://1.1.1.1/", "https://id.test/"] {
        assert!(checked(&open, allowed, true).is_ok(), "{allowed}");
    }
    assert!(checked(&open, "https://10.1.2.4/", true).is_err());
    // other spellings of an address are the address
    assert!(checked(&open, "https://0x0a010204/", true).is_err());
    assert!(checked(&open, "https://167838212/", true).is_err());
}

#[tokio::test]
async fn names_are_checked_where_they_are_resolved() {
    let resolve = async |reach: Reach, name: &str| reach.resolve(name.parse().unwrap()).await.map(Vec::from_iter);
    for name in ["localhost", "LOCALHOST.", "keys.localhost", "a.b.localhost."] {
        let found = resolve(Reach::Anywhere, name).await.unwrap();
        assert!(!found.is_empty() && found.iter().all(|address| address.ip().is_loopback()), "{name}: {found:?}");
        assert!(
            !resolve(Reach::Public { and: Arc::new([name.to_uppercase().into()]) }, name).await.unwrap().is_empty()
        );
        let error = resolve(Reach::Public { and: Arc::new([]) }, name).await.unwrap_err();
        assert!(error.to_string().contains("private"), "{error}");
    }
}

#[test]
fn a_fragment_makes_no_other_address() {
    for uri in ["https://id.test/keys#x", "https://ID.test:443/keys#", "https://id.test/keys"] {
        assert_eq!(checked(&Reach::Anywhere, uri, true).unwrap().as_str(), "https://id.test/keys", "{uri}");
    }
}

#[test]
fn a_private_host_is_a_bare_name_or_address() {
    for host in ["keys.internal", "KEYS", "10.1.2.3", "fd12::1", "::1", "localhost"] {
        assert!(is_bare_host(host), "{host}");
    }
    for nonsense in
        ["", "https://10.1.2.3", "10.1.2.3:80", "[fd12::1]", "fd12:0::1", "a/b", "*.internal", "10.0.0.0/8", "a b"]
    {
        assert!(!is_bare_host(nonsense), "{nonsense}");
    }
}

#[test]
fn addresses_are_shown_without_their_query() {
    let url = Url::parse("https://id.test/keys?api_key=s3cr3t").unwrap();
    assert_eq!(shown(&url), "https://id.test/keys");
}

fn plain(hosts: &[&str], below_localhost: bool) -> PlainHttp {
    PlainHttp { hosts: Some(hosts.iter().map(|host| PlainHost::parse(host).unwrap()).collect()), below_localhost }
}

#[test]
fn a_host_is_named_as_it_stands_in_the_url_and_nothing_else_is_a_host() {
    for (named, url) in [
        ("keycloak:8080", "http://keycloak:8080/realms/shop"),
        ("Keycloak:8080", "http://keycloak:8080/"),
        ("keycloak", "http://keycloak/"),
        ("keycloak:80", "http://keycloak:80/"),
        ("keycloak", "http://KEYCLOAK:80/"),
        ("id.auth.svc.cluster.local", "http://id.auth.svc.cluster.local/jwks"),
        ("host.docker.internal:9000", "http://host.docker.internal:9000/"),
        ("10.0.0.5:8080", "http://10.0.0.5:8080/"),
        ("[fd12::1]:8080", "http://[fd12:0::1]:8080/"),
    ] {
        assert_eq!(plain(&[named], true).check(&Url::parse(url).unwrap()), Ok(()), "{named} {url}");
    }
    for (named, url) in [
        ("keycloak:8080", "http://keycloak/"),
        ("keycloak", "http://keycloak:8080/"),
        ("keycloak:8080", "http://keycloak.test:8080/"),
        ("keycloak:8080", "http://a.keycloak:8080/"),
        ("keycloak:8080", "http://keycloak.:8080/"),
        ("keycloak:8080", "http://keycloak8080/"),
    ] {
        let why = plain(&[named], true).check(&Url::parse(url).unwrap()).unwrap_err();
        assert!(why.contains("dangerously_fetch_keys_over_plain_http_from"), "{named} {url}: {why}");
    }
    for nonsense in [
        "",
        " ",
        "http://keycloak:8080",
        "keycloak:8080/realms/shop",
        "https:keycloak",
        "*.svc.cluster.local",
        "user@keycloak",
        "user:pw@keycloak:8080",
        "keycloak:",
        ":8080",
        "keycloak:http",
        "keycloak:80800",
        "keycloak 8080",
        "key\tcloak",
        "keycloak?",
        "keycloak#x",
        "fd12::1",
        "key%63loak",
    ] {
        assert!(PlainHost::parse(nonsense).is_err(), "{nonsense}");
    }
}

#[test]
fn loopback_needs_no_name_but_below_localhost_the_client_must_lead_there() {
    let checked = |url: &str, below| plain(&[], below).check(&Url::parse(url).unwrap()).is_ok();
    for url in ["http://localhost/", "http://LOCALHOST.:1/", "http://127.1.2.3/", "http://[::1]/"] {
        assert!(checked(url, true) && checked(url, false), "{url}");
    }
    for url in ["http://keys.localhost/", "http://a.b.localhost./"] {
        assert!(checked(url, true) && !checked(url, false), "{url}");
    }
    for url in ["http://localhost.test/", "http://notlocalhost/", "http://0.0.0.0/", "http://[::]/"] {
        assert!(!checked(url, true), "{url}");
    }
    assert!(plain(&["keys.localhost"], false).check(&Url::parse("http://keys.localhost/").unwrap()).is_ok());
}
