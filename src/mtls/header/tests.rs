use base64_simd::STANDARD;
use proptest::prelude::*;

use super::*;

/// What looks like a certificate from outside: a sequence of this many bytes.
fn der(len: u8) -> Vec<u8> {
    [vec![0x30, 0x81, len], (0..len).collect()].concat()
}

fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => escaped.push(byte.into()),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
        escaped
    })
}

fn in_pem(label: &str, der: &[u8]) -> String {
    pem::encode_string(label, pem::LineEnding::LF, der).unwrap()
}

/// A value, and whether it is read as the certificate, as none, or refused with this text in the reason.
type Row<'a> = (&'a str, Result<bool, &'a str>);

fn check(header: &CertificateHeader, expected: ClientCertificate, rows: &[Row<'_>]) {
    for (value, outcome) in rows {
        let read = header.read(value.as_bytes());
        match (read, outcome) {
            (Ok(found), Ok(is_there)) => assert_eq!(found, is_there.then_some(expected), "{value}"),
            (Err(why), Err(text)) => assert!(why.contains(text), "{value}: {why}"),
            (read, outcome) => panic!("{value}: {read:?}, and {outcome:?} was expected"),
        }
    }
}

#[test]
fn byte_sequences() {
    let der = der(200);
    let text = STANDARD.encode_to_string(&der);
    assert!(text.ends_with('='), "the table is about padding, too");
    let unpadded = text.trim_end_matches('=');
    let (start, end) = text.split_at(40);
    let two = STANDARD.encode_to_string([der.as_slice(), &der].concat());
    let longer = STANDARD.encode_to_string([der.as_slice(), b"\n"].concat());
    let shorter = STANDARD.encode_to_string(&der[..der.len() - 1]);
    let rows = [
        (String::new(), Ok(false)),
        ("::".into(), Ok(false)),
        (format!(":{text}:"), Ok(true)),
        (":".into(), Err("between colons")),
        (text.clone(), Err("between colons")),
        (format!(":{text}"), Err("between colons")),
        (format!("{text}:"), Err("between colons")),
        (format!("\"{text}\""), Err("between colons")),
        (format!(":{text}:;a=1"), Err("between colons")),
        (format!(":{text}:,"), Err("between colons")),
        (format!(":{text}:, :{text}:"), Err("not one value")),
        (format!(":{text}:,:{text}:"), Err("not one value")),
        (format!("::{text}::"), Err("not base64")),
        (format!(":{start},{end}:"), Err("not base64")),
        (format!(":{start} {end}:"), Err("not base64")),
        (format!(": {text} :"), Err("not base64")),
        (format!(":{unpadded}:"), Err("not base64")),
        (format!(":{unpadded}====:"), Err("not base64")),
        (format!(":{}:", text.replace(['+', '/'], "-")), Err("not base64")),
        (format!(":%3A{text}:"), Err("not base64")),
        (":AAAA:".into(), Err("not one certificate")),
        (format!(":{two}:"), Err("not one certificate")),
        (format!(":{longer}:"), Err("not one certificate")),
        (format!(":{shorter}:"), Err("not one certificate")),
    ];
    assert!(text.contains(['+', '/']), "the table is about alphabets, too");
    let rows: Vec<Row<'_>> = rows.iter().map(|(value, outcome)| (value.as_str(), *outcome)).collect();
    check(&CertificateHeader::client_cert(), ClientCertificate::new(&der), &rows);
}

#[test]
fn escaped_pems() {
    let der = der(200);
    let (pem, key) = (in_pem("CERTIFICATE", &der), in_pem("PRIVATE KEY", &der));
    let escaped = escape(&pem);
    let rows = [
        (String::new(), Ok(false)),
        // nginx, and whoever escapes with small letters
        (escaped.clone(), Ok(true)),
        (escaped.replace("%0A", "%0a").replace("%2B", "%2b"), Ok(true)),
        // AWS leaves these three as they are
        (escaped.replace("%2B", "+").replace("%2F", "/").replace("%3D", "="), Ok(true)),
        (escape(&pem.replace('\n', "\r\n")), Ok(true)),
        (escape(pem.trim_end()), Ok(true)),
        // as forms escape
        (escaped.replace("%20", "+"), Err("one certificate in PEM")),
        (escaped.replace("%0A", ""), Err("one certificate in PEM")),
        (escaped.replace("%0A", "%09"), Err("one certificate in PEM")),
        (escaped.replace("%0A", "%"), Err("hexadecimal")),
        (escaped.replace("%0A", "%0"), Err("hexadecimal")),
        (escaped.replace("%0A", "%+A"), Err("hexadecimal")),
        (format!("{escaped}%"), Err("hexadecimal")),
        (format!("{escaped}%0"), Err("hexadecimal")),
        (format!("{escaped}%zz"), Err("hexadecimal")),
        (escape(&escaped), Err("one certificate in PEM")),
        (format!("{escaped}{escaped}"), Err("one certificate in PEM")),
        (format!("{escaped},{escaped}"), Err("one certificate in PEM")),
        (format!("{escaped}, {escaped}"), Err("one certificate in PEM")),
        (format!("x%0A{escaped}"), Err("one certificate in PEM")),
        (format!("%0A{escaped}"), Err("one certificate in PEM")),
        (format!("{escaped}x"), Err("one certificate in PEM")),
        (format!("\"{escaped}\""), Err("one certificate in PEM")),
        (escape(&key), Err("one certificate in PEM")),
        (escape(&key.replacen("PRIVATE KEY", "CERTIFICATE", 1)), Err("one certificate in PEM")),
        (escape(&pem[..pem.len() / 2]), Err("one certificate in PEM")),
        (STANDARD.encode_to_string(&der), Err("one certificate in PEM")),
        (escape(&in_pem("CERTIFICATE", b"x")), Err("not one certificate")),
        (escape(&in_pem("CERTIFICATE", &[der.as_slice(), &der].concat())), Err("not one certificate")),
    ];
    let rows: Vec<Row<'_>> = rows.iter().map(|(value, outcome)| (value.as_str(), *outcome)).collect();
    let header = CertificateHeader::escaped_pem(HeaderName::from_static("x-client-cert"));
    check(&header, ClientCertificate::new(&der), &rows);
}

/// 64 digits, and what they are.
const HASH: &str = "468ed33be74eee6556d90c0149c1309e9ba61d6425303443c0748a02dd8de688";

#[test]
fn elements_of_envoy() {
    let mut digest = [0; 32];
    for (place, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&HASH[2 * place..2 * place + 2], 16).unwrap();
    }
    let other = HASH.replace('4', "5");
    let cert = escape(&in_pem("CERTIFICATE", &der(100)));
    let rows = [
        (String::new(), Ok(false)),
        // the examples of Envoy's documentation
        (format!("By=http://frontend.lyft.com;Hash={HASH};URI=http://testclient.lyft.com"), Ok(true)),
        (
            format!(
                "By=http://frontend.lyft.com;Hash={HASH};Subject=\"/C=US/ST=CA/L=San Francisco/OU=Lyft/CN=Test Client\";URI=http://testclient.lyft.com"
            ),
            Ok(true),
        ),
        (
            format!(
                "By=http://frontend.lyft.com;Hash={HASH};URI=http://testclient.lyft.com;DNS=lyft.com;DNS=www.lyft.com"
            ),
            Ok(true),
        ),
        (format!("Hash={HASH}"), Ok(true)),
        (format!("hash={HASH}"), Ok(true)),
        (format!("HASH={}", HASH.to_uppercase()), Ok(true)),
        (format!("Hash=\"{HASH}\""), Ok(true)),
        (format!("By=;Hash={HASH};URI="), Ok(true)),
        (format!("By=\"\";Hash={HASH};Subject=\"\""), Ok(true)),
        (format!("Hash={HASH};Cert=\"{cert}\";Chain=\"{cert}{cert}\""), Ok(true)),
        // quoted: commas, semicolons, quotes, what looks like another hash or element
        (format!("Hash={HASH};Subject=\"CN=a,O=b;Hash={other}\""), Ok(true)),
        (format!("Hash={HASH};Subject=\"CN=a\\\",Hash={other}\""), Ok(true)),
        (format!("Hash={HASH};Subject=\"CN=a\\\\\";URI=b"), Ok(true)),
        (format!("Hash={HASH};Subject=\"CN=a\\\\\\\";Hash={other}\""), Ok(true)),
        // and not quoted: a certificate's names are written as they are
        (format!("By=a;Hash={HASH};URI=x;Hash={other}"), Err("two hashes")),
        (format!("By=a;Hash={HASH};URI=x,By=a;Hash={other}"), Err("more than one element")),
        (format!("By=a;Hash={HASH};DNS=x,Hash={other}"), Err("more than one element")),
        (format!("Hash={HASH};Hash={HASH}"), Err("two hashes")),
        (format!("Hash={HASH};hash={HASH}"), Err("two hashes")),
        (format!("Hash={HASH};URI=a\"b"), Err("a quote within")),
        (format!("Hash={HASH};Subject=\"CN=a\\\\\",Hash={other}\""), Err("more than one element")),
        // appended
        (format!("Hash={HASH},Hash={other}"), Err("SANITIZE_SET")),
        (format!("Hash={other}, By=b;Hash={HASH}"), Err("SANITIZE_SET")),
        (format!("Hash={HASH},"), Err("more than one element")),
        (format!("By=a,Hash={HASH}"), Err("more than one element")),
        // no hash
        ("By=http://frontend.lyft.com;URI=http://testclient.lyft.com".into(), Err("no hash")),
        (format!("Cert=\"{cert}\""), Err("no hash")),
        (format!("By=\"Hash={HASH}\""), Err("no hash")),
        ("By=".into(), Err("no hash")),
        // no digest
        ("Hash=".into(), Err("64 hexadecimal")),
        ("Hash=\"\"".into(), Err("64 hexadecimal")),
        (format!("Hash={}", &HASH[1..]), Err("64 hexadecimal")),
        (format!("Hash={HASH}0"), Err("64 hexadecimal")),
        (format!("Hash={HASH}00"), Err("64 hexadecimal")),
        (format!("Hash= {HASH}"), Err("64 hexadecimal")),
        (format!("Hash={HASH} "), Err("64 hexadecimal")),
        (format!("Hash={}g", &HASH[1..]), Err("64 hexadecimal")),
        (format!("Hash=+{}", &HASH[1..]), Err("64 hexadecimal")),
        ("Hash=da39a3ee5e6b4b0d3255bfef95601890afd80709".to_owned(), Err("64 hexadecimal")),
        // no grammar
        (format!(";Hash={HASH}"), Err("a name that is none")),
        (format!("Hash={HASH};"), Err("without `=`")),
        (format!("Hash={HASH};;URI=a"), Err("a name that is none")),
        (format!(" Hash={HASH}"), Err("a name that is none")),
        (format!("={HASH}"), Err("a name that is none")),
        (format!("Ha sh={HASH}"), Err("a name that is none")),
        (format!("\"Hash\"={HASH}"), Err("a name that is none")),
        (HASH.into(), Err("without `=`")),
        ("x".into(), Err("without `=`")),
        (format!("Hash=\"{HASH}"), Err("does not end")),
        (format!("Hash={HASH};Subject=\"a\\\""), Err("does not end")),
        (format!("Hash={HASH};Subject=\""), Err("does not end")),
        (format!("Hash=\"{HASH}\"x"), Err("behind a quoted value")),
        (format!("Hash=\"{HASH}\" ;URI=a"), Err("behind a quoted value")),
    ];
    let rows: Vec<Row<'_>> = rows.iter().map(|(value, outcome)| (value.as_str(), *outcome)).collect();
    check(&CertificateHeader::envoy(), ClientCertificate::from_thumbprint(digest), &rows);
}

fn formats() -> [CertificateHeader; 3] {
    let name = HeaderName::from_static("x-client-cert");
    [CertificateHeader::client_cert(), CertificateHeader::envoy(), CertificateHeader::escaped_pem(name)]
}

proptest! {
    #[test]
    fn no_bytes_panic(value in prop::collection::vec(any::<u8>(), 0..200)) {
        for header in formats() {
            let _ = header.read(&value);
        }
    }

    /// Of the formats' own pieces, in any order: whatever is read, is the certificate that is there.
    #[test]
    fn no_pieces_panic(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..12)) {
        let value = pieces.concat();
        for header in formats() {
            if let Ok(Some(certificate)) = header.read(value.as_bytes()) {
                prop_assert!(value.contains(HASH));
                prop_assert_eq!(certificate.thumbprint()[..2].to_vec(), vec![0x46, 0x8e]);
            }
        }
    }

    #[test]
    fn what_proxies_write_is_read(content in prop::collection::vec(any::<u8>(), 0..300)) {
        let len = u16::try_from(content.len()).unwrap().to_be_bytes();
        let der = match content.len() {
            0..128 => [&[0x30, len[1]], content.as_slice()].concat(),
            128..256 => [&[0x30, 0x81, len[1]], content.as_slice()].concat(),
            _ => [&[0x30, 0x82, len[0], len[1]], content.as_slice()].concat(),
        };
        let expected = Ok(Some(ClientCertificate::new(&der)));
        let [sequence, envoy, pem] = formats();
        prop_assert_eq!(sequence.read(format!(":{}:", STANDARD.encode_to_string(&der)).as_bytes()), expected);
        prop_assert_eq!(pem.read(escape(&in_pem("CERTIFICATE", &der)).as_bytes()), expected);
        let hash: String = ClientCertificate::new(&der).thumbprint().iter().map(|byte| format!("{byte:02x}")).collect();
        prop_assert_eq!(envoy.read(format!("By=a;Hash={hash};URI=").as_bytes()), expected);
    }
}

const PIECES: &[&str] = &[
    "Hash=",
    HASH,
    "By=",
    "Subject=",
    "URI=",
    "\"",
    "\\",
    ";",
    ",",
    "=",
    ":",
    "%",
    "%0A",
    "MAA=",
    "-----BEGIN CERTIFICATE-----",
    "-----END CERTIFICATE-----",
    " ",
    "a",
];
