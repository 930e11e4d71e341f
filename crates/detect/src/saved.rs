//! The judge's state as bytes: a version, then the state in postcard.

use crate::Error;
use crate::judge::State;

/// The version of the bytes. Every change of a stored type raises it.
const VERSION: u8 = 7;

/// The state as bytes. Equal states give equal bytes.
pub(crate) fn write(state: &State) -> Vec<u8> {
    let bytes = vec![VERSION];
    postcard::to_extend(state, bytes).expect("a vector takes every byte, and lengths are known")
}

/// The state that [`write`] wrote down.
pub(crate) fn read(bytes: &[u8]) -> Result<State, Error> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => {
            postcard::from_bytes(rest).map_err(|error| Error::Malformed(error.to_string()))
        }
        Some((version, _)) => Err(Error::Version { found: *version, known: VERSION }),
        None => Err(Error::Malformed("it is empty".to_owned())),
    }
}
