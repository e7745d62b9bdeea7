/** What the system asks for, for what is drawn and not styled. */
class Theme {
  private readonly query = matchMedia('(prefers-color-scheme: dark)');
  dark = $state(this.query.matches);

  constructor() {
    this.query.addEventListener('change', (event) => (this.dark = event.matches));
  }
}

export const theme = new Theme();
