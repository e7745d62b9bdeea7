// What a page costs the browser: long tasks, memory, and bytes on the line.

import { pause } from './eventually.mjs';

/** Notes every task of more than 50 ms from now on. */
export const watchTasks = (page) =>
  page.evaluate(() => {
    window.longTasks = [];
    new PerformanceObserver((list) => window.longTasks.push(...list.getEntries().map((entry) => entry.duration))).observe({ type: 'longtask' });
  });

/** Does something, and gives the longest task of more than 50 ms that it took; 0 if there was none. */
export async function longestTask(page, act) {
  await page.evaluate(() => (window.longTasks.length = 0));
  await act();
  // Entries come a moment after their tasks.
  await pause(300);
  return page.evaluate(() => Math.max(0, ...window.longTasks));
}

/**
 * Does something several times, and gives the longest task of the best of them: what the page itself needs. Other programs on the
 * machine make a task look longer, and never shorter.
 */
export async function leastOf(times, page, act) {
  const longest = [];
  for (let i = 0; i < times && !longest.includes(0); i += 1) longest.push(await longestTask(page, () => act(i)));
  return Math.min(...longest);
}

/** What is alive in a page once what is not was taken away. */
export async function alive(session) {
  await session.send('HeapProfiler.collectGarbage');
  const { metrics } = await session.send('Performance.getMetrics');
  const value = (name) => metrics.find((metric) => metric.name === name).value;
  return { heap: value('JSHeapUsedSize'), nodes: value('Nodes'), listeners: value('JSEventListeners') };
}
