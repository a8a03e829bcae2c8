//! The command line of the packages: `cargo run -p letta-app-client --features cli --example letta_app -- doctor`

fn main() {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    std::process::exit(letta_app_client::cli::main(&arguments) as i32);
}
