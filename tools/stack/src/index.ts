// Placeholder: what other tools use of the stack.
export {};
