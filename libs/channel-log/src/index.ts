// Placeholder: written by whoever builds this project first.
export {};
