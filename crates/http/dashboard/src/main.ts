import { mount } from 'svelte';
import './app.css';
import App from './App.svelte';
import { i18n } from './i18n/i18n.svelte';
import { router } from './state/router.svelte';
import { server } from './state/server.svelte';

const target = document.getElementById('app');
if (target === null) {
  throw new Error('the page has no place for the dashboard');
}
router.listen();
server.open();
void i18n.start().then(() => mount(App, { target }));
