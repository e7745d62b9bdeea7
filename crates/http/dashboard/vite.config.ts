import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

const COMPRESSED = /^assets\/.*\.(js|css|svg)$/;

/** Writes what is served compressed beside what it is made of, so that the server never compresses anything itself. */
function compressed(): Plugin {
  const brotli = { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY } };
  return {
    name: 'compressed',
    apply: 'build',
    // From what was written: Vite changes the code of chunks up to the end.
    writeBundle({ dir }, bundle) {
      for (const name of Object.keys(bundle).filter((name) => COMPRESSED.test(name))) {
        const path = join(dir ?? '', name);
        const source = readFileSync(path);
        writeFileSync(`${path}.br`, brotliCompressSync(source, brotli));
        writeFileSync(`${path}.gz`, gzipSync(source, { level: 9 }));
      }
    },
  };
}

export default defineConfig({
  // The page is mounted wherever a host likes, so nothing may name the root.
  base: './',
  plugins: [svelte(), compressed()],
  build: {
    target: 'es2022',
    // The policy of the page lets in what lies beside it and nothing that is written into it.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    // For `npm run dev` beside a server on its usual port.
    proxy: { '/api': { target: 'http://127.0.0.1:8080', ws: true } },
  },
  test: { include: ['src/**/*.test.ts'] },
});
