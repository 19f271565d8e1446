//! Macros for log events and metrics, which are no-ops without the features `tracing` and
//! `metrics`, so that no call site needs a `cfg`.

#[cfg(feature = "tracing")]
macro_rules! event {
    ($level:ident, $message:literal $(, $field:ident = $value:expr)* $(,)?) => {
        ::tracing::$level!(target: "tower_bearer", $($field = %$value,)* $message)
    };
}

#[cfg(not(feature = "tracing"))]
macro_rules! event {
    ($level:ident, $message:literal $(, $field:ident = $value:expr)* $(,)?) => {{
        $(let _ = &$value;)*
    }};
}

#[cfg(feature = "metrics")]
macro_rules! count {
    // all of it known when compiling, and so without an allocation
    ($name:literal, $label:literal => $value:literal) => {
        ::metrics::counter!($name, $label => $value).increment(1)
    };
    ($name:literal $(, $label:literal => $value:expr)* $(,)?) => {
        ::metrics::counter!($name $(, $label => $value)*).increment(1)
    };
}

#[cfg(not(feature = "metrics"))]
macro_rules! count {
    ($name:literal $(, $label:literal => $value:expr)* $(,)?) => {{
        $(let _ = &$value;)*
    }};
}

#[cfg(feature = "metrics")]
macro_rules! gauge {
    ($name:literal, $gauge:expr $(, $label:literal => $value:expr)* $(,)?) => {
        ::metrics::gauge!($name $(, $label => $value)*).set(f64::from($gauge))
    };
}

#[cfg(not(feature = "metrics"))]
macro_rules! gauge {
    ($name:literal, $gauge:expr $(, $label:literal => $value:expr)* $(,)?) => {{
        // named, but not worked out
        if false {
            let _ = $gauge;
            $(let _ = &$value;)*
        }
    }};
}

pub(crate) use count;
pub(crate) use event;
pub(crate) use gauge;
