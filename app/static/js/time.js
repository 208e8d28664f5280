// Times are written in UTC; here they become the reader's own, in the page's language.

const options = { dateStyle: "medium", timeStyle: "short" };

for (const element of document.querySelectorAll("time[datetime]")) {
  const moment = new Date(element.dateTime);
  if (!Number.isNaN(moment.getTime())) {
    element.title = element.textContent;
    element.textContent = new Intl.DateTimeFormat(document.documentElement.lang, options).format(moment);
  }
}
