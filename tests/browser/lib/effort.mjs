// What a page costs the browser: elements, layouts and memory.

/** Counts the elements that come and go in the document from now on. */
export const watchElements = (page) =>
  page.evaluate(() => {
    window.changed = 0;
    const elements = (nodes) => [...nodes].filter((node) => node.nodeType === Node.ELEMENT_NODE).length;
    const note = (records) => records.forEach(({ addedNodes, removedNodes }) => (window.changed += elements(addedNodes) + elements(removedNodes)));
    new MutationObserver(note).observe(document.body, { subtree: true, childList: true });
  });

/** Does something, and gives how many elements came or went until the next frame was drawn. */
export async function changedBy(page, act) {
  await page.evaluate(() => (window.changed = 0));
  await act();
  return page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => setTimeout(() => resolve(window.changed)))));
}

/** How often the browser worked out where things are, since the page was opened. The session's domain `Performance` is enabled. */
export const layouts = (session) => metric(session, 'LayoutCount');

/** What is alive in a page once what is not was taken away. */
export async function alive(session) {
  await session.send('HeapProfiler.collectGarbage');
  const [heap, nodes, listeners] = await Promise.all(['JSHeapUsedSize', 'Nodes', 'JSEventListeners'].map((name) => metric(session, name)));
  return { heap, nodes, listeners };
}

async function metric(session, name) {
  const { metrics } = await session.send('Performance.getMetrics');
  return metrics.find((metric) => metric.name === name).value;
}
