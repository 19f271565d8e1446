//! What the browser shows.

use std::fmt::Write;

use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use crate::actor::Actor;
use crate::client::StepUp;
use crate::domain::{EMPLOYEE, SecuritySystem};
use crate::statistics::Statistics;

/// Nothing but our own style and our own forms; in nobody's frame.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const STYLE: &str = "
    :root{color-scheme:light;--ink:#1d2733;--quiet:#64748b;--line:#e2e8f0;--accent:#0f766e}
    body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:#f1f5f9;margin:0}
    header{background:var(--ink);color:#fff;padding:.8rem 2rem;font-weight:600}
    main{max-width:42rem;margin:2rem auto;padding:1.5rem 2rem;background:#fff;border:1px solid var(--line);border-radius:12px}
    h1{font-size:1.4rem;margin:0 0 1rem} a{color:var(--accent)}
    .who{display:flex;justify-content:space-between;align-items:center;color:var(--quiet);border-top:1px solid var(--line);
      margin-top:1.5rem;padding-top:1rem} .who b{color:var(--ink)}
    table{border-collapse:collapse;width:100%} td,th{text-align:left;padding:.6rem .4rem;border-bottom:1px solid var(--line)}
    th{color:var(--quiet);font-weight:500;font-size:.85rem} td:last-child{text-align:right}
    .state{font-weight:600} .armed{color:#b91c1c} .off{color:var(--quiet)}
    button{font:inherit;padding:.3rem 1.1rem;border:1px solid var(--accent);border-radius:8px;background:#fff;color:var(--accent);cursor:pointer}
    button:hover{background:var(--accent);color:#fff}";

const SIGN_OUT: &str = "<form method=post action=/sign-out><button id=sign-out>Sign out</button></form>";

fn page(title: &str, body: &str) -> Html<String> {
    Html(format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>{title} · RealGuardIO</title><style>{STYLE}</style>\
         <header>RealGuardIO</header><main><h1>{title}</h1>{body}</main></html>"
    ))
}

/// The systems that the user may see, for employees with a button each.
pub fn home(actor: &Actor, systems: &[SecuritySystem]) -> Response {
    let mut rows = String::new();
    for SecuritySystem { id, location, armed } in systems {
        let (id, location) = (id.0, location.0);
        let (style, state, action) = if *armed { ("armed", "armed", "disarm") } else { ("off", "not armed", "arm") };
        // numbers and our own words: nothing that HTML could mistake
        let _ = write!(rows, "<tr id=system-{id}><td>{id}<td>{location}<td class=\"state {style}\">{state}<td>");
        if actor.token.has_role(EMPLOYEE) {
            let _ = write!(rows, "<form method=post action=/systems/{id}/{action}><button>{action}</button></form>");
        }
    }
    let user = escape(actor.subject());
    let figures = if actor.is_admin() { "<p><a href=/statistics>Statistics</a></p>" } else { "" };
    let body = format!(
        "<table><tr><th>System<th>Location<th>State<th>{rows}</table>{figures}\
         <div class=who><span>Signed in as <b id=user>{user}</b></span>{SIGN_OUT}</div>"
    );
    page("Your security systems", &body).into_response()
}

/// The figures.
pub fn statistics(Statistics { systems, armed }: Statistics) -> Response {
    let body = format!("<p id=figures>{systems} systems, {armed} of them armed.</p><p><a href=/>Back</a></p>");
    page("Statistics", &body).into_response()
}

pub fn signed_out() -> Response {
    page("Signed out", "<p><a href=/>Sign in</a></p>").into_response()
}

/// What the user is told who must sign in again. A link, since our forms lead nowhere else; and nothing is done in the meantime, since whoever comes back may
/// be somebody else.
pub fn sign_in_again(step_up: &StepUp) -> Response {
    let link = escape(&step_up.query());
    let text =
        format!("<p>For this, sign in again. <a id=again href=\"/sign-in?{link}\">Sign in</a> <a href=/>Back</a></p>");
    protected((StatusCode::UNAUTHORIZED, page("Is it you?", &text)).into_response())
}

/// What the user is told instead of an answer.
pub fn refused(status: StatusCode) -> Response {
    // who has no role at all has no other page to sign out from
    let forbidden = format!("You may not do this. <a href=/>Back</a> {SIGN_OUT}");
    // if it is the session that does not work, another one may
    let sorry = format!("One of our services does not answer. <a href=/>Try again</a> {SIGN_OUT}");
    let (title, text) = match status {
        StatusCode::UNAUTHORIZED => ("Signed out", "You are not signed in, or not any more. <a href=/>Go on</a>"),
        StatusCode::FORBIDDEN => ("Not permitted", forbidden.as_str()),
        StatusCode::NOT_FOUND => ("Not found", "There is no such thing. <a href=/>Back</a>"),
        status if status.is_client_error() => ("Not understood", "That did not work. <a href=/>Back</a>"),
        _ => ("Sorry", sorry.as_str()),
    };
    protected((status, page(title, &format!("<p>{text}</p>"))).into_response())
}

/// Tells the browser what our pages may do, and to keep none of them.
pub fn protected(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
