//! One macro for log events, which is a no-op without the `tracing` feature, so that no call site needs a `cfg`.

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

pub(crate) use event;
