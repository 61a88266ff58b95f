//! What overtakes what, and what a fault leaves behind.
