import { vitePreprocess } from '@sveltejs/vite-plugin-svelte';

export default {
  preprocess: vitePreprocess(),
  compilerOptions: {
    // Tables that are laid out as cards on small screens lose their roles there, so the roles are written out.
    warningFilter: (warning) => warning.code !== 'a11y_no_redundant_roles',
  },
};
