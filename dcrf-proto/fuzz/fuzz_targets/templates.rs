#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| dcrf_fuzz::templates::templates(input));
