// Placeholder: the tests that take minutes, written with the first of them.
export {};
