//! The entry: nothing but the command line.

fn main() -> std::process::ExitCode {
    bgp_agent::cli::main()
}
