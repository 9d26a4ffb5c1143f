//! The files of the page are embedded by a macro, and cargo does not see when one is added. A build without optimisation reads them
//! when they are asked for: who works on the page need not build.

fn main() {
    let embeds = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    println!("cargo:rerun-if-changed={}", if embeds { "web" } else { "build.rs" });
}
