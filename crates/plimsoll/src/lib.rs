//! The program: configuration, wiring, the loop, replay, command line.
