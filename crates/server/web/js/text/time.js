// Times in the reader's own language and zone.

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: 'long' });
const shortDay = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const longDay = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const withYear = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'long', year: 'numeric' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });

export const timeOfDay = (ms) => clock.format(ms);
export const fullTime = (ms) => full.format(ms);
export const dayKey = (ms) => new Date(ms).toDateString();

function daysAgo(ms) {
  const midnight = (time) => new Date(time).setHours(0, 0, 0, 0);
  return Math.round((midnight(Date.now()) - midnight(ms)) / 86400000);
}

/** "Today", "Yesterday", "Monday, 3 May", "3 May 2024". */
export function dayName(ms) {
  const days = daysAgo(ms);
  if (days === 0) return 'Today';
  if (days === 1) return 'Yesterday';
  return new Date(ms).getFullYear() === new Date().getFullYear() ? longDay.format(ms) : withYear.format(ms);
}

/** As short as it can be said in a list. */
export function shortTime(ms) {
  const days = daysAgo(ms);
  if (days <= 0) return clock.format(ms);
  if (days === 1) return 'Yesterday';
  return days < 7 ? weekday.format(ms) : shortDay.format(ms);
}

/** "just now", "12 minutes ago", "3 hours ago", or the day. */
export function ago(ms) {
  if (!ms) return 'never';
  const minutes = Math.floor((Date.now() - ms) / 60000);
  if (minutes < 1) return 'just now';
  if (minutes < 60) return minutes === 1 ? 'a minute ago' : `${minutes} minutes ago`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return hours === 1 ? 'an hour ago' : `${hours} hours ago`;
  return daysAgo(ms) === 1 ? 'yesterday' : withYear.format(ms);
}

/** 1.4 MB, 312 kB, 20 bytes. */
export function size(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  if (bytes < 1e6) return `${Math.round(bytes / 1000)} kB`;
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
