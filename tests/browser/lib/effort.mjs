// What a page costs the browser: changes of what it shows, and memory.

/** Counts what changes in the document from now on. */
export const watchChanges = (page) =>
  page.evaluate(() => {
    window.changes = { elements: 0, others: 0 };
    const count = ({ addedNodes, removedNodes }) => [...addedNodes, ...removedNodes].filter((node) => node.nodeType === Node.ELEMENT_NODE).length;
    const note = (records) => {
      for (const record of records) {
        const elements = count(record);
        window.changes.elements += elements;
        if (elements === 0) window.changes.others += 1;
      }
    };
    new MutationObserver(note).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
  });

/** Does something, and gives how many elements came or went, and how many texts and attributes changed, until the next frame was drawn. */
export async function changesBy(page, act) {
  await page.evaluate(() => Object.assign(window.changes, { elements: 0, others: 0 }));
  await act();
  return page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => setTimeout(() => resolve({ ...window.changes })))));
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
