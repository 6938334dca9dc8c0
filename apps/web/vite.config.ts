import react from '@vitejs/plugin-react';
import { defaultClientConditions, defineConfig } from 'vite';

export default defineConfig({
  plugins: [react()],
  // Our libs are read from their sources.
  resolve: { conditions: ['@tidemark/source', ...defaultClientConditions] },
  build: { outDir: 'dist/site', target: 'es2022', modulePreload: { polyfill: false } },
});
