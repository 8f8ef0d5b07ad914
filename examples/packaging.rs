//! Man pages and shell completions from the command line's own definition, for the package: `packaging DIRECTORY`.

use std::{fs, io, path::PathBuf};

use clap::CommandFactory;
use clap_complete::{generate_to, shells};

fn main() -> io::Result<()> {
    let directory = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "target/packaging".to_owned()));
    fs::create_dir_all(&directory)?;
    let mut command = bgp_agent::cli::Cli::command();
    generate_to(shells::Bash, &mut command, "bgp-agent", &directory)?;
    generate_to(shells::Zsh, &mut command, "bgp-agent", &directory)?;
    generate_to(shells::Fish, &mut command, "bgp-agent", &directory)?;
    clap_mangen::generate_to(command.disable_help_subcommand(true), &directory)?;
    // Commands of an administrator are of section 8.
    for entry in fs::read_dir(&directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "1") {
            let text = fs::read_to_string(&path)?;
            let moved = text.replacen(" 1  ", " 8  ", 1).replace("(1)", "(8)");
            fs::write(path.with_extension("8"), moved)?;
            fs::remove_file(path)?;
        }
    }
    Ok(())
}
