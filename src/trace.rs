//! Macros for log events and metrics, which are no-ops without the features `tracing` and
//! `metrics`, so that no call site needs a `cfg`.

macro_rules! event {
    ($level:ident, $message:literal $(, $field:ident = $value:expr)* $(,)?) => {{
        #[cfg(feature = "tracing")]
        ::tracing::$level!(target: "tower_bearer", $($field = %$value,)* $message);
        #[cfg(not(feature = "tracing"))]
        {
            $(let _ = &$value;)*
        }
    }};
}

macro_rules! count {
    // all of it known when compiling, and so without an allocation
    ($name:literal, $label:literal => $value:literal) => {{
        #[cfg(feature = "metrics")]
        ::metrics::counter!($name, $label => $value).increment(1);
    }};
    ($name:literal $(, $label:literal => $value:expr)* $(,)?) => {{
        #[cfg(feature = "metrics")]
        ::metrics::counter!($name $(, $label => $value)*).increment(1);
        #[cfg(not(feature = "metrics"))]
        {
            $(let _ = &$value;)*
        }
    }};
}

macro_rules! gauge {
    ($name:literal, $gauge:expr $(, $label:literal => $value:expr)* $(,)?) => {{
        #[cfg(feature = "metrics")]
        ::metrics::gauge!($name $(, $label => $value)*).set(f64::from($gauge));
        // named, but not worked out
        #[cfg(not(feature = "metrics"))]
        if false {
            let _ = $gauge;
            $(let _ = &$value;)*
        }
    }};
}

pub(crate) use count;
pub(crate) use event;
pub(crate) use gauge;
