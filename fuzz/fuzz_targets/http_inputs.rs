#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| threefold_fuzzing::http_inputs(data));
