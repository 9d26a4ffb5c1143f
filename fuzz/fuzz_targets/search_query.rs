#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| threefold_fuzzing::search_query(data));
