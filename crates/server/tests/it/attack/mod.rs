//! What a client without a token may cost: each module is one kind of attack, each test a bound that holds for any
//! input.

mod connections;
mod directories;
mod files;
mod honest;
mod memory;
mod mistakes;
mod networks;
mod onnx_file;
mod registry;
mod replaced;
mod sizes_by_value;
mod time;
mod veto;
